//! Writes the report on a campaign that nobody trained, to look at: `cargo run -p windtunnel-report --example synthetic DIR`.

use std::path::PathBuf;

use report::{AnalysisOptions, Conclusion};

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os().nth(1).map(PathBuf::from).ok_or("the directory to write to is missing")?;
    for (name, campaign) in [("quickstart", synthetic::quickstart()), ("smoke", synthetic::smoke())] {
        let conclusion = Conclusion::of(campaign, &AnalysisOptions::default());
        let folder = out.join(name);
        std::fs::create_dir_all(&folder)?;
        print!("{}", conclusion.table());
        println!("{}\n", conclusion.write(&folder)?.report.display());
    }
    Ok(())
}
