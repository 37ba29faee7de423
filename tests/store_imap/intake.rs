//! Messages come into a folder: appended, copied, moved.

use super::*;
use buzon::store::FolderError;

#[test]
fn letters_are_appended_together_or_not_at_all() {
    let (_place, maildir, folders) = place();
    deliver(&maildir, b"waits for its number\n");
    let (validity, given) = append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    assert_eq!(given, [1, 2]);
    let mut inbox = folders.open("inbox", false).unwrap();
    assert_eq!((inbox.uid_validity(), uids(&inbox)), (validity, vec![1, 2, 3]));
    assert_eq!(inbox.date(1).unwrap(), 1_000_000_000);
    assert_eq!(inbox.octets(1).unwrap(), 5);
    assert_eq!(wire(inbox.read(1).unwrap()), b"two\r\n");
    assert_eq!((inbox.keywords(), inbox.messages()[1].keywords()), (&["Work".to_owned()][..], 1));

    let letter = Letter { sender: "", head: b"", body: Body::Octets(b"x\n") };
    let prepare = || folders.prepare_append("INBOX", &letter, SEEN, &[], None).unwrap();
    drop(prepare());
    let letters = vec![prepare(), prepare()];
    // The second has lost its file.
    let mut names: Vec<_> =
        fs::read_dir(maildir.join("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    fs::remove_file(&names[1]).unwrap();
    assert!(folders.commit_append(letters).is_err());
    assert_eq!(fs::read_dir(maildir.join("tmp")).unwrap().count(), 0);
    assert_eq!(inbox.refresh(true).unwrap().exists, None);
    assert_eq!(append(&folders, "INBOX", &["three\n"], SEEN).1, [6]);
    // A letter of long ago is no file that somebody left behind.
    let old = folders.prepare_append("INBOX", &letter, SEEN, &[], Some(1_000_000_000)).unwrap();
    deliver(&maildir, b"four\n");
    drop(folders.open("INBOX", false).unwrap());
    folders.commit_append(vec![old]).unwrap();
    assert!(matches!(
        folders.prepare_append("none", &letter, SEEN, &[], None),
        Err(FolderError::Missing)
    ));
}

#[test]
fn copies_are_second_names_and_moves_renames() {
    use std::os::unix::fs::MetadataExt;
    let (_place, maildir, folders) = place();
    folders.create("Archive/2026", None).unwrap();
    append(&folders, "INBOX", &["one\n", "two\n", "three\n"], SEEN | Flags::FLAGGED);
    let mut inbox = folders.open("INBOX", false).unwrap();
    let (_, pairs) = inbox.copy(&[0, 1], "Archive/2026").unwrap();
    assert_eq!(pairs, [(1, 1), (2, 2)]);
    let links = |folder: &str| {
        let entries = fs::read_dir(maildir.join(folder).join("cur")).unwrap();
        let mut links: Vec<u64> =
            entries.map(|entry| entry.unwrap().metadata().unwrap().nlink()).collect();
        links.sort();
        links
    };
    assert_eq!((links("."), links(".Archive.2026")), (vec![1, 2, 2], vec![2, 2]));
    let (_, pairs) = inbox.move_to(&[2], "Archive/2026").unwrap();
    assert_eq!(pairs, [(3, 3)]);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [3]);
    let mut archive = folders.open("Archive/2026", true).unwrap();
    assert_eq!(flags(&archive), [SEEN | Flags::FLAGGED; 3]);
    assert_eq!(archive.keywords(), ["Work"]);
    assert!(archive.messages().iter().all(|message| message.keywords() == 1));
    assert_eq!(archive.date(2).unwrap(), 1_000_000_000);
    assert_eq!(archive.raw(2).unwrap(), b"three\n");
    assert!(archive.store(&[0], Change::Add, DELETED, 0).is_err());
    assert!(archive.expunge(None).is_err() && archive.move_to(&[0], "INBOX").is_err());

    // One of them went away: nothing is copied.
    let mut other = folders.open("INBOX", false).unwrap();
    other.store(&[1], Change::Add, DELETED, 0).unwrap();
    other.expunge(None).unwrap();
    assert!(inbox.copy(&[0, 1], "Archive/2026").is_err());
    assert!(inbox.move_to(&[0, 1], "Archive/2026").is_err());
    assert!(matches!(inbox.copy(&[0], "none"), Err(FolderError::Missing)));
    assert!(archive.refresh(true).unwrap().exists.is_none());
    assert_eq!(inbox.refresh(true).unwrap().expunged, [2]);

    folders.rename("INBOX", "Old/Post").unwrap();
    assert_eq!(folders.status("INBOX").unwrap().messages, 0);
    assert_eq!(folders.status("Old/Post").unwrap().messages, 1);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [1]);
}

/// Mounted for a test, by root.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, from: &Path) -> Option<Mounted> {
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.arg("--bind").args([from, path]).stderr(std::process::Stdio::null());
        mounted.status().ok()?.success().then(|| Mounted(path.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_copy_to_another_file_system_is_whole() {
    let (_place, maildir, folders) = place();
    let Ok(far) = tempfile::tempdir_in("/dev/shm") else { return };
    folders.create("Far", None).unwrap();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    let mut inbox = folders.open("INBOX", false).unwrap();
    let Some(_mounted) = Mounted::at(&maildir.join(".Far"), far.path()) else { return };
    assert_eq!(inbox.copy(&[0, 1], "Far").unwrap().1, [(1, 1), (2, 2)]);
    assert_eq!(inbox.move_to(&[0], "Far").unwrap().1, [(1, 3)]);
    assert_eq!(inbox.refresh(true).unwrap().expunged, [1]);
    let mut copies = folders.open("Far", true).unwrap();
    assert_eq!((copies.messages().len(), copies.date(2).unwrap()), (3, 1_000_000_000));
    assert_eq!(copies.raw(2).unwrap(), b"one\n");
    assert_eq!(flags(&copies), [SEEN; 3]);
    assert_eq!(fs::read_dir(far.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(names(&folders), ["INBOX", "Far"]);
}
