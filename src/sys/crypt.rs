//! crypt(3): libcrypt's reentrant functions, each call with a buffer of its own.
//!
//! Whatever hashes the machine's own /etc/shadow may hold are computed here. A hash may cost
//! milliseconds and, as yescrypt does, 16 MiB: `auth` says how many run at once.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_ulong, c_void};

/// `sizeof (struct crypt_data)`, fixed by libcrypt's ABI.
const DATA: c_int = 32_768;
/// `CRYPT_GENSALT_OUTPUT_SIZE`.
const SALT: c_int = 192;

#[link(name = "crypt")]
unsafe extern "C" {
    fn crypt_rn(
        phrase: *const c_char,
        setting: *const c_char,
        data: *mut c_void,
        size: c_int,
    ) -> *mut c_char;
    fn crypt_gensalt_rn(
        prefix: *const c_char,
        count: c_ulong,
        random: *const c_char,
        random_len: c_int,
        output: *mut c_char,
        size: c_int,
    ) -> *mut c_char;
}

/// The hash of a password under a setting, which may be a whole hash. `None`: libcrypt knows no
/// such setting, or the password is too long for it or holds a NUL, which would cut it short.
pub fn hash(password: &[u8], setting: &str) -> Option<String> {
    let password = CString::new(password).ok()?;
    let setting = CString::new(setting).ok()?;
    let mut data = vec![0u8; DATA as usize];
    // SAFETY: both strings end in NUL, and `data` is as large as said.
    let hash =
        unsafe { crypt_rn(password.as_ptr(), setting.as_ptr(), data.as_mut_ptr().cast(), DATA) };
    if hash.is_null() {
        return None;
    }
    // SAFETY: what is returned is a string inside `data`, which is still there.
    let hash = unsafe { CStr::from_ptr(hash) };
    hash.to_str().ok().filter(|hash| !hash.starts_with('*')).map(str::to_owned)
}

/// A setting with fresh salt and the library's usual cost for a prefix such as `$6$`.
pub fn salt(prefix: &str) -> Option<String> {
    let prefix = CString::new(prefix).ok()?;
    let mut output = [0u8; SALT as usize];
    // SAFETY: without random octets the library asks the kernel; `output` is as large as said.
    let salt = unsafe {
        crypt_gensalt_rn(prefix.as_ptr(), 0, std::ptr::null(), 0, output.as_mut_ptr().cast(), SALT)
    };
    if salt.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&output).ok()?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_differ_and_hashes_verify() {
        for prefix in ["$6$", "$5$", "$2b$", "$y$", "$1$"] {
            let (one, two) = (salt(prefix).unwrap(), salt(prefix).unwrap());
            assert!(one.starts_with(prefix) && one != two, "{one} {two}");
            let stored = hash(b"secret", &one).unwrap();
            assert_eq!(hash(b"secret", &stored).as_ref(), Some(&stored));
            assert_ne!(hash(b"Secret", &stored).as_ref(), Some(&stored));
        }
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        for (password, setting) in [
            (&b"secret"[..], ""),
            (b"secret", "*"),
            (b"secret", "!$6$salt$"),
            (b"secret", "$99$salt$"),
            (b"sec\0ret", "$6$salt$"),
            (&[b'a'; 4_000], "$6$salt$"),
        ] {
            assert_eq!(hash(password, setting), None, "{setting}");
        }
    }
}
