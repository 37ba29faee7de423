//! Messages into another folder, or a new one into any: many at once, all of them or none.
use super::super::folders::FolderError;
use super::super::selected::Copied;
use super::session::Session;
impl Session {
    pub fn copy(&mut self, _indices: &[u32], _to: &str) -> Result<Copied, FolderError> {
        Err(FolderError::Missing)
    }
    pub fn move_to(&mut self, _indices: &[u32], _to: &str) -> Result<Copied, FolderError> {
        Err(FolderError::Missing)
    }
}
