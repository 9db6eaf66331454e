//! `dbbackup check`, and connections that may only be private.

use crate::support::world::World;

/// The world's server by a name, which is resolved, in place of its address.
fn by_name(text: &str) -> String {
    text.replace("http://127.0.0.1:", "http://localhost:")
}

#[test]
fn nothing_is_sent_to_an_address_that_is_not_private() {
    let world = World::new();
    world.company();
    world.configure(|text| {
        by_name(&text) + "[network]\nrequire_private = true\nallowed_cidrs = [\"10.0.0.0/8\"]\n"
    });
    for output in [world.backup(), world.run(&["restore", "--latest", "mysql/shop"])] {
        output.exits(5).says("localhost has the address").says("require_private").says("allowed_cidrs");
    }
    assert!(world.server.requests().is_empty());
}

#[test]
fn an_endpoint_written_as_a_public_address_is_a_wrong_configuration() {
    let world = World::new();
    world.company();
    world.configure(|text| text + "[network]\nrequire_private = true\nallowed_cidrs = [\"10.0.0.0/8\"]\n");
    world.backup().exits(2).says("127.0.0.1 has the address 127.0.0.1");
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_private_address_is_used_under_require_private() {
    let world = World::new();
    world.company();
    world.configure(|text| by_name(&text) + "[network]\nrequire_private = true\n");
    world.backup().exits(0);
    assert_eq!(world.whole_manifests().len(), 3);
}
