//! Runs every file of the corpus, including all former crashes, through its target.

use std::path::Path;

#[test]
fn every_input_of_the_corpus_is_read() {
    for (name, target) in fuzz::TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&dir).expect("each target has a corpus") {
            let path = entry.expect("the folder can be read").path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect("the file can be read"));
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", dir.display());
    }
}
