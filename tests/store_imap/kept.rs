//! What is kept of messages beside them, and in their names.

use super::*;

#[test]
fn what_was_worked_out_is_remembered_for_all() {
    let (_place, maildir, folders) = place();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    let mut one = folders.open("INBOX", false).unwrap();
    assert_eq!(one.cached(0), None);
    one.remember(0, b"envelope");
    assert_eq!(one.cached(0).unwrap(), b"envelope");
    one.rest();
    assert_eq!(folders.open("INBOX", true).unwrap().cached(0).unwrap(), b"envelope");
    assert_eq!(one.cached(1), None);
    fs::remove_file(maildir.join("buzon-cache")).unwrap();
    let _ = fs::remove_file(maildir.join("buzon-listing"));
    assert_eq!(folders.open("INBOX", true).unwrap().cached(0), None);
    assert_eq!(one.refresh(true).unwrap().exists, None);
}

#[test]
fn a_listing_that_lies_is_not_believed() {
    let (_place, maildir, folders) = place();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    drop(folders.open("INBOX", false).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(50));
    // Two looks: ours of before was too near to the change.
    drop(folders.open("INBOX", false).unwrap());
    let listing = maildir.join("buzon-listing");
    let whole = fs::read(&listing).unwrap();
    for cut in [0, 7, 100, whole.len() - 1] {
        fs::write(&listing, &whole[..cut]).unwrap();
        assert_eq!(uids(&folders.open("INBOX", true).unwrap()), [1, 2], "{cut}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut octets = whole.clone();
        octets[at] ^= 0x10;
        fs::write(&listing, &octets).unwrap();
        let selected = folders.open("INBOX", true).unwrap();
        assert_eq!((uids(&selected), flags(&selected)), (vec![1, 2], vec![SEEN; 2]), "{at}");
        assert_eq!(folders.status("INBOX").unwrap().messages, 2);
    }
}

#[test]
fn strange_names_keep_what_is_strange() {
    let (_place, maildir, folders) = place();
    drop(folders.open("INBOX", false).unwrap());
    for name in ["1.a", "2.b:2,SF", "3.c:2,XS", "4.d:1,S", "5.e:2,PSz"] {
        fs::write(maildir.join("cur").join(name), "x\n").unwrap();
    }
    let mut inbox = folders.open("INBOX", false).unwrap();
    let flagged = Flags::FLAGGED;
    let expected = [Flags::NONE, SEEN | flagged, SEEN, Flags::NONE, SEEN];
    assert_eq!(flags(&inbox), expected);
    let changed = inbox.store(&[0, 1, 2, 3, 4], Change::Replace, DELETED, 0).unwrap();
    assert_eq!(changed, [0, 1, 2, 4]);
    let mut names: Vec<String> = fs::read_dir(maildir.join("cur"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["1.a:2,T", "2.b:2,T", "3.c:2,TX", "4.d:1,S", "5.e:2,PTz"]);
    for index in 0..5 {
        assert_eq!(inbox.raw(index).unwrap(), b"x\n");
    }
    inbox.rest();
    assert_eq!(inbox.raw(2).unwrap(), b"x\n");
    drop(inbox);
    let mut inbox = folders.open("INBOX", true).unwrap();
    assert_eq!(inbox.raw(2).unwrap(), b"x\n");
    assert_eq!(inbox.octets(3).unwrap(), 3);
}

/// The size of a file is whatever its owner says: no memory is asked for because of it.
#[test]
fn a_giant_is_not_read_into_memory() {
    let (_place, maildir, folders) = place();
    deliver(&maildir, b"x\n");
    let giant = maildir.join("cur/1.giant,S=1099511627776,W=1099511627776:2,");
    fs::File::create(&giant).unwrap().set_len(1 << 40).unwrap();
    let mut inbox = folders.open("INBOX", false).unwrap();
    let at = (0..2).find(|at| inbox.octets(*at).unwrap() == 1 << 40).unwrap();
    assert!(inbox.raw(at).unwrap_err().is_too_large());
    assert!(!inbox.read(at).unwrap().chunk().unwrap().is_empty());
    assert_eq!(inbox.raw(1 - at).unwrap(), b"X-Head: y\nx\n");
}

/// Opens the INBOX until what it holds can be told from any later change.
fn leave_listing(maildir: &Path, folders: &Folders) {
    while !maildir.join("buzon-listing").exists() {
        drop(folders.open("INBOX", false).unwrap());
    }
}

/// RFC 3501 §2.3.1.1: a backup that was put back knows nothing of the numbers given after it.
#[test]
fn a_list_that_was_put_back_gives_no_number_twice() {
    for way in ["a letter in new", "APPEND", "POP3"] {
        let (_place, maildir, folders) = place();
        let list = maildir.join("dovecot-uidlist");
        let (validity, _) = append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
        let backup = fs::read(&list).unwrap();
        append(&folders, "INBOX", &["three\n", "four\n", "five\n"], SEEN);
        leave_listing(&maildir, &folders);
        let mut names: Vec<_> = fs::read_dir(maildir.join("cur")).unwrap().collect();
        names.sort_by_key(|entry| entry.as_ref().unwrap().path());
        names.drain(2..).for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
        fs::write(&list, backup).unwrap();
        match way {
            "APPEND" => {
                let (now, given) = append(&folders, "INBOX", &["other\n"], SEEN);
                assert!(now > validity && given == [6], "{now} {given:?}");
            }
            _ => deliver(&maildir, b"other\n"),
        }
        if way == "POP3" {
            drop(store::Mailbox::open(&maildir).unwrap());
        }
        let inbox = folders.open("INBOX", false).unwrap();
        assert!(inbox.uid_validity() > validity, "{way}");
        assert_eq!((uids(&inbox), inbox.uid_next()), (vec![1, 2, 6], 7), "{way}");
    }
}

/// Where nobody can know that a list was put back, another message is not described as the old one.
#[test]
fn what_is_remembered_is_of_the_message_and_not_of_its_number() {
    let (_place, maildir, folders) = place();
    let list = maildir.join("dovecot-uidlist");
    append(&folders, "INBOX", &["one\n"], SEEN);
    let backup = fs::read(&list).unwrap();
    append(&folders, "INBOX", &["two\n"], SEEN);
    let mut inbox = folders.open("INBOX", false).unwrap();
    (0..2).for_each(|at| inbox.remember(at, b"envelope"));
    drop(inbox);
    let mut names: Vec<_> =
        fs::read_dir(maildir.join("cur")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    fs::remove_file(&names[1]).unwrap();
    let _ = fs::remove_file(maildir.join("buzon-listing"));
    fs::write(&list, backup).unwrap();
    append(&folders, "INBOX", &["other\n"], SEEN);
    let mut inbox = folders.open("INBOX", false).unwrap();
    assert_eq!(uids(&inbox), [1, 2]);
    assert_eq!((inbox.cached(0).unwrap(), inbox.cached(1)), (b"envelope".to_vec(), None));
    inbox.remember(1, b"another");
    assert_eq!(inbox.cached(1).unwrap(), b"another");
}

/// RFC 3501 §2.3.1.1: numbers that are used up begin again, under another UIDVALIDITY.
#[test]
fn numbers_that_are_used_up_begin_again() {
    let (_place, maildir, folders) = place();
    append(&folders, "INBOX", &["one\n", "two\n"], SEEN);
    let list = maildir.join("dovecot-uidlist");
    let text = fs::read_to_string(&list).unwrap();
    // A UIDVALIDITY of later than now, since the new one must be another.
    fs::write(&list, "3 V4000000000 N4294967294\n".to_owned() + text.split_once('\n').unwrap().1)
        .unwrap();
    deliver(&maildir, b"three\n");
    assert_eq!(folders.status("INBOX").unwrap().uid_validity, 4_000_000_001);
    let inbox = folders.open("INBOX", false).unwrap();
    assert_eq!((inbox.uid_validity(), inbox.uid_next()), (4_000_000_001, 4));
    assert_eq!(uids(&inbox), [1, 2, 3]);
    fs::write(&list, "3 V7 N4294967294\n").unwrap();
    let (validity, given) = append(&folders, "INBOX", &["four\n"], SEEN);
    assert!(validity > 7 && given == [1], "{validity} {given:?}");
}

/// RFC 3501 §9: what other programs write is told only where it is a keyword, and stays.
#[test]
fn words_that_are_no_atoms_are_no_keywords() {
    let (_place, location, folders) = mbox_place();
    let Location::Mbox { inbox, .. } = &location else { return };
    let words = "good bad)paren \"quo {3} \\Seen";
    let text = format!("From a  Thu Jan  1 00:00:00 1970\nTo: b\nX-Keywords: {words}\n\nx\n\n");
    fs::create_dir_all(inbox.parent().unwrap()).unwrap();
    fs::write(inbox, text).unwrap();
    let mut selected = folders.open("INBOX", false).unwrap();
    assert_eq!(selected.keywords(), ["good"]);
    assert_eq!(selected.messages()[0].keywords(), 1);
    selected.store(&[0], Change::Remove, Flags::NONE, 1).unwrap();
    let text = fs::read_to_string(inbox).unwrap();
    assert!(text.contains("X-Keywords: bad)paren \"quo {3} \\Seen"), "{text}");

    let (_place, maildir, folders) = place();
    deliver(&maildir, b"one\n");
    fs::write(maildir.join("dovecot-keywords"), "0 good\n1 bad)paren\n2 {3}\n3 \\Seen\n").unwrap();
    assert_eq!(folders.open("INBOX", false).unwrap().keywords(), ["good", "", "", ""]);
}
