//! parley: hold a written dialogue with a server. The manual: parley(1).

fn main() {}
