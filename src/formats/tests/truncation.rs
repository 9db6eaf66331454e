use super::*;

/// Tries a file cut at each multiple of `step` and closer near its end, as it is and padded back with zeros.
fn tries(name: &str, bytes: &[u8], step: usize, allowed: &[usize]) -> usize {
    assert!(
        full_judgement(name, bytes).verdict.is_whole(),
        "{name}: {}",
        full_judgement(name, bytes).verdict
    );
    let mut tried = 0;
    // Cuts within the last block leave its header standing, so there they are closer.
    let last = bytes.len().saturating_sub(4200)..bytes.len();
    for keep in (0..last.start).step_by(step).chain(last.step_by(3)).chain([bytes.len() - 1]) {
        // A file that ends with zero bytes of its own is not changed by padding them back.
        let same = bytes[keep..].iter().all(|byte| *byte == 0);
        for size in [Some(keep), (!same).then_some(bytes.len())].into_iter().flatten() {
            let judgement = full_judgement(name, &Cut { bytes, keep, size });
            let may_be = size == keep && allowed.contains(&keep);
            assert!(
                may_be || !judgement.verdict.is_whole(),
                "{name} cut at {keep} of {size}: {}",
                judgement.verdict
            );
            tried += 1;
        }
    }
    tried
}

#[test]
fn no_file_cut_at_any_64_bytes_or_padded_back_is_called_whole() {
    // A tape that ends with its first or second set is what it was before the next was appended:
    // no reader can tell.
    let ends = |filemark| {
        let tape = build::Tape::new(filemark).set(build::FULL).set(build::DIFFERENTIAL).set(build::COPY_ONLY);
        tape.ends[..2].to_vec()
    };
    let mut tried = 0;
    for (name, bytes) in whole_files() {
        let allowed = match name.as_str() {
            "three_512.bak" => ends(512),
            "three_4096.bak" => ends(4096),
            _ => Vec::new(),
        };
        let step = if Format::of_name(&name) == Some(Format::Mtf) { 64 } else { 16 };
        tried += tries(&name, &bytes, step, &allowed);
    }
    println!("{tried} cut files tried, none called whole");
    assert!(tried > 3000, "{tried}");
}

#[test]
#[ignore = "needs DBBACKUP_SAMPLES, a folder with Northwind_*.bak"]
fn no_real_backup_cut_at_any_512_bytes_or_padded_back_is_called_whole() {
    let tried: usize = mtf::samples().iter().map(|(name, bytes)| tries(name, bytes, 512, &[])).sum();
    println!("{tried} cut files tried, none called whole");
}
