//! Finds the files below a folder. Links to folders are followed; no folder is read twice.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use super::left_out::LeftOut;

/// How a folder is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    /// Levels of folders below it.
    pub(super) depth: usize,
    /// Whether names that start with a dot count.
    pub(super) hidden: bool,
}

/// Takes the path of a file and its size, or why there is none.
pub(super) type Found<'a, E> = &'a mut dyn FnMut(PathBuf, io::Result<u64>, &mut LeftOut) -> Result<(), E>;

/// Calls `found` with each file below a folder, folder by folder. What `found` says of a path that leads nowhere decides
/// whether that is an error.
pub(super) fn walk<E>(
    root: &Path,
    search: Search,
    left_out: &mut LeftOut,
    error: &dyn Fn(&Path, io::Error) -> E,
    found: Found<'_, E>,
) -> Result<(), E> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| error(&path, source)
    };
    // By where it really is, the path under which each folder was entered.
    let mut entered: HashMap<PathBuf, PathBuf> = HashMap::new();
    let mut pending = vec![(root.to_path_buf(), 0)];
    // Links come last, so that a folder has its own name where it has one.
    let mut links = VecDeque::new();
    while let Some((dir, depth)) = pending.pop().or_else(|| links.pop_front()) {
        let place = std::fs::canonicalize(&dir).map_err(unreadable(&dir))?;
        if let Some(before) = entered.get(&place) {
            let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
            let before = match below(before) {
                top if top.is_empty() => "the top".to_owned(),
                other => format!("`{other}`"),
            };
            left_out.links.push(format!("`{}`, which leads to {before}", below(&dir)));
            continue;
        }
        let entries = std::fs::read_dir(&dir).map_err(unreadable(&dir))?;
        entered.insert(place, dir.clone());
        let mut names: Vec<_> = entries
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?.is_symlink()))))
            .collect::<io::Result<_>>()
            .map_err(unreadable(&dir))?;
        names.sort();
        let mut folders = Vec::new();
        for (name, is_link) in names {
            if !search.hidden && name.as_encoded_bytes().starts_with(b".") {
                left_out.hidden += 1;
                continue;
            }
            let path = dir.join(name);
            match std::fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    if depth < search.depth {
                        if is_link { links.push_back((path, depth + 1)) } else { folders.push((path, depth + 1)) }
                    }
                }
                Ok(metadata) if metadata.is_file() => found(path, Ok(metadata.len()), left_out)?,
                // Sockets and the like.
                Ok(_) => {}
                Err(nowhere) => found(path, Err(nowhere), left_out)?,
            }
        }
        pending.extend(folders.into_iter().rev());
    }
    Ok(())
}
