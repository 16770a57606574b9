//! The name of a campaign on the command line.

use std::path::Path;

use client::Named;

/// A campaign's name, identifier or prefix. A file of this machine is not one, and what reads it is said.
///
/// # Errors
/// It is a file.
pub(crate) fn campaign(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    // A campaign may have the name of a file in this folder, but not one with an ending that says what it holds.
    if !path.is_file() || (path.extension().is_none() && !text.contains(std::path::is_separator)) {
        return Ok(text.to_owned());
    }
    let reader = match Named::of(text) {
        Ok(Named::Table) => "`windtunnel fit` reads tables",
        Ok(Named::Fit(_)) => "`windtunnel predict` and `windtunnel optimal` read a fit.json",
        Ok(Named::Recipe) => "`windtunnel run` trains a recipe",
        Ok(Named::Campaign | Named::Absent) | Err(_) => "no command reads a file with this ending",
    };
    Err(format!("this is a file, and the name of a campaign is needed (`windtunnel list`); {reader}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_not_taken_for_campaigns() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, reader) in [("t.csv", "windtunnel fit"), ("r.toml", "windtunnel run"), ("a.txt", "no command reads")]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, "").expect("written");
            let message = campaign(path.to_str().expect("UTF-8")).expect_err("refused");
            assert!(message.contains(reader), "{name}: {message}");
        }
        for name in ["quickstart", "smoke.2", "none.csv"] {
            assert_eq!(campaign(name).as_deref(), Ok(name));
        }
    }
}
