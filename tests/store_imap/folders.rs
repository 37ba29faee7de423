//! Folders are made, renamed and removed, in both formats.

use super::*;
use buzon::store::{FolderError, SpecialUse};

#[test]
fn folders_are_made_renamed_and_removed() {
    let (_place, maildir, folders) = place();
    assert_eq!(names(&folders), ["INBOX"]);
    folders.create("Sent", None).unwrap();
    folders.create("Señal", Some(SpecialUse::Junk)).unwrap();
    folders.create("a/b/c", None).unwrap();
    folders.create("a-b", None).unwrap();
    folders.create("inbox/kid", None).unwrap();
    let list = ["INBOX", "INBOX/kid", "Sent", "Señal", "a?", "a/b?", "a/b/c", "a-b"];
    assert_eq!(names(&folders), list);
    assert!(maildir.join(".Se&APE-al/maildirfolder").exists());
    assert!(maildir.join(".INBOX.kid/cur").exists());
    let use_of = |name: &str| {
        folders.list().unwrap().into_iter().find(|folder| folder.name == name).unwrap().use_
    };
    assert_eq!((use_of("Sent"), use_of("Señal")), (Some(SpecialUse::Sent), Some(SpecialUse::Junk)));

    for name in ["Sent", "INBOX", "iNbOx", "Inbox/kid"] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Exists)), "{name}");
    }
    for name in ["", "/", "/a", "a//b", "a.b", "a\nb", &"x".repeat(300), &"ñ".repeat(100)] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Invalid(_))), "{name}");
        assert!(!folders.exists(name).unwrap(), "{name}");
    }
    assert!(folders.exists("INBOX").unwrap() && folders.exists("inbox/kid").unwrap());
    assert!(!folders.exists("a").unwrap());

    folders.rename("a", "z/a").unwrap();
    folders.rename("Señal", "Basura").unwrap();
    assert_eq!(use_of("Basura"), Some(SpecialUse::Junk));
    let list = ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b", "z?", "z/a?", "z/a/b?", "z/a/b/c"];
    assert_eq!(names(&folders), list);
    for (from, to) in [("a", "b"), ("none", "b")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Missing)), "{from}");
    }
    for (from, to) in [("Sent", "a-b"), ("Sent", "z"), ("Sent", "inbox"), ("Sent", "Sent")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Exists)), "{from} {to}");
    }
    assert!(matches!(folders.rename("z", "z/y"), Err(FolderError::Invalid(_))));

    folders.create("z/a", None).unwrap();
    folders.delete("z/a").unwrap();
    assert!(matches!(folders.delete("z/a"), Err(FolderError::HasChildren)));
    assert!(matches!(folders.delete("INBOX"), Err(FolderError::Invalid(_))));
    assert!(matches!(folders.delete("none"), Err(FolderError::Missing)));
    folders.delete("z/a/b/c").unwrap();
    assert_eq!(names(&folders), ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b"]);
    assert!(
        fs::read_dir(&maildir)
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with("..") })
    );
}

#[test]
fn a_name_that_comes_back_has_another_uidvalidity() {
    both(|_, folders| {
        let mut last = 0;
        for _ in 0..4 {
            folders.create("x", None).unwrap();
            let validity = folders.status("x").unwrap().uid_validity;
            assert!(validity > last);
            last = validity;
            folders.delete("x").unwrap();
        }
        assert!(matches!(folders.status("x"), Err(FolderError::Missing)));
        assert!(matches!(folders.open("x", true), Err(FolderError::Missing)));
    });
}

#[test]
fn folders_of_mboxes_are_made_renamed_and_removed() {
    let (place, _, folders) = mbox_place();
    let mail = place.path().join("home/mail");
    assert_eq!(names(&folders), ["INBOX"]);
    for name in ["Sent", "a/b/c", "a-b", "inbox/kid", "a.b"] {
        folders.create(name, None).unwrap();
    }
    folders.create("Señal", Some(SpecialUse::Junk)).unwrap();
    let list = ["INBOX", "INBOX/kid", "Sent", "Señal", "a?", "a/b?", "a/b/c", "a-b", "a.b"];
    assert_eq!(names(&folders), list);
    assert!(mail.join("Se&APE-al").is_file() && mail.join("a/b/c").is_file());
    for name in ["Sent", "INBOX", "iNbOx", "Inbox/kid"] {
        assert!(matches!(folders.create(name, None), Err(FolderError::Exists)), "{name}");
    }
    for name in
        ["", "/", "a/", "a//b", ".a", "../x", "a.lock", "a\nb", &"x".repeat(300), "a", "Sent/x"]
    {
        assert!(matches!(folders.create(name, None), Err(FolderError::Invalid(_))), "{name}");
        assert!(!folders.exists(name).unwrap(), "{name}");
    }
    folders.rename("a", "z/a").unwrap();
    folders.rename("Señal", "Basura").unwrap();
    let list = folders.list().unwrap();
    let junk = list.iter().find(|folder| folder.use_ == Some(SpecialUse::Junk)).unwrap();
    assert_eq!(junk.name, "Basura");
    for (from, to) in [("a", "b"), ("none", "b")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Missing)), "{from}");
    }
    for (from, to) in [("Sent", "a-b"), ("Sent", "z"), ("Sent", "inbox"), ("Sent", "Sent")] {
        assert!(matches!(folders.rename(from, to), Err(FolderError::Exists)), "{from} {to}");
    }
    assert!(matches!(folders.delete("z"), Err(FolderError::HasChildren)));
    assert!(matches!(folders.delete("INBOX"), Err(FolderError::Invalid(_))));
    assert!(matches!(folders.delete("none"), Err(FolderError::Missing)));
    folders.delete("z/a/b/c").unwrap();
    assert_eq!(names(&folders), ["INBOX", "INBOX/kid", "Basura", "Sent", "a-b", "a.b"]);
    for name in ["Sent", "x/y"] {
        folders.subscribe(name).unwrap();
    }
    folders.unsubscribe("Sent").unwrap();
    assert!(matches!(folders.unsubscribe("Sent"), Err(FolderError::Missing)));
    assert_eq!(folders.subscriptions().unwrap(), ["x/y"]);
    assert_eq!(fs::read_to_string(mail.join(".subscriptions")).unwrap(), "V\t2\n\nx\ty\n");
}

#[test]
fn renaming_an_inbox_moves_its_messages() {
    both(|location, folders| {
        deliver_to(&location, b"one\n");
        folders.rename("INBOX", "Old").unwrap();
        assert_eq!(folders.status("INBOX").unwrap().messages, 0);
        let mut old = folders.open("Old", false).unwrap();
        assert_eq!(old.raw(0).unwrap(), b"X-Head: y\none\n");
    });
}

/// A file that another program made gets its UIDVALIDITY from the clock, and so does a new mailbox.
#[test]
fn a_name_given_away_has_another_uidvalidity() {
    both(|location, folders| {
        folders.create("Work", None).unwrap();
        append(&folders, "Work", &["one\n"], SEEN);
        if let Location::Mbox { folders, .. } = &location {
            fs::remove_file(folders.join(".buzon-folders")).unwrap();
        }
        if let Location::Maildir(maildir) = &location {
            fs::remove_file(maildir.join("buzon-folders")).unwrap();
        }
        let mut before = folders.open("Work", false).unwrap();
        folders.rename("Work", "Job").unwrap();
        folders.create("Work", None).unwrap();
        assert_eq!(append(&folders, "Work", &["one\n"], SEEN).1, [1]);
        let after = folders.open("Work", false).unwrap();
        assert!(after.uid_validity() > before.uid_validity());
        assert!(before.refresh(true).is_err_and(|error| error.is_removed_mailbox()));
        assert!(before.store(&[0], Change::Add, DELETED, 0).is_err());
        assert!(!after.messages()[0].flags().has(DELETED));
    });
}
