//! What compression would win, measured here and over this line; nothing stays in the bucket.

use dbbackup::embedded::Op;

use crate::support::noise;
use crate::support::world::World;

fn dump(world: &World) -> String {
    let line = b"INSERT INTO orders VALUES (1,'customer','2025-08-18');\n";
    let bytes: Vec<u8> = line.iter().copied().cycle().take(3_000_000).collect();
    world.write("mysql/shop/shop_20250818.sql", bytes).display().to_string()
}

#[test]
fn the_line_is_measured_with_parts_that_are_aborted() {
    let world = World::new();
    let told = world.run(&["estimate", &dump(&world), "--json"]).exits(0).json();
    assert!(told["line_bytes_per_second"].as_u64().unwrap() > 1_000_000, "{told}");
    let forms = told["files"][0]["forms"].as_array().unwrap();
    assert_eq!((&forms[0]["compress"], &forms[0]["stored"]), (&"none".into(), &3_000_000.into()));
    for form in &forms[1..] {
        assert!(form["stored"].as_u64().unwrap() < 300_000, "{form}");
    }
    assert_eq!((world.server.count(Op::UploadPart), world.open_uploads()), (4, 0));
    assert!(world.all_keys().is_empty(), "{:?}", world.all_keys());
}

#[test]
fn a_line_that_is_told_needs_neither_bucket_nor_configuration() {
    let world = World::new();
    let file = dump(&world);
    std::fs::remove_file(world.path("config.toml")).unwrap();
    let slow = world.run(&["estimate", "--line", "1Mbit/s", &file]).exits(0);
    assert!(slow.stdout.contains("Line: 1Mbit/s") && slow.stdout.contains("24.0 s"), "{}", slow.stdout);
    assert!(slow.stdout.contains("Soonest done: compress = \"zstd:"), "{}", slow.stdout);
    assert!(world.server.requests().is_empty());
    world.run(&["estimate", "--line", "fast", &file]).exits(2).says("it is no rate");
    world.run(&["estimate", &file]).exits(2);
    world.run(&["estimate"]).exits(2);
}

#[test]
fn what_is_compressed_already_is_said_and_what_cannot_be_read_is_named() {
    let world = World::new();
    let path = world.write("mysql/shop/shop_20250818.sql.zst", noise(50_000, 3)).display().to_string();
    let told = world.run(&["estimate", "--line", "1Gbit/s", &path]).exits(0);
    assert!(told.stdout.contains("compressed already"), "{}", told.stdout);
    world.run(&["estimate", "--line", "1Gbit/s", "/nowhere/a.sql"]).exits(1).says("/nowhere/a.sql");
}
