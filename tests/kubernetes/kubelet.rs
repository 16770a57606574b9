//! Containers as processes: the pool's files are written where its volumes are mounted, and the command is run.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process::Running;

pub(crate) struct Kubelet {
    folder: PathBuf,
    running: BTreeMap<String, Running>,
}

impl Kubelet {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join("bin")).expect("made");
        symlink(env!("CARGO_BIN_EXE_windtunnel"), folder.join("bin/windtunnel")).expect("made");
        Self { folder, running: BTreeMap::new() }
    }

    /// Starts the container of a pod. On a broken node it ends at once.
    pub(crate) fn start(
        &mut self,
        name: &str,
        pod: &Value,
        node: &str,
        config_maps: &[Value],
        secrets: &[Value],
        is_broken: bool,
    ) {
        let home = self.folder.join(name);
        fs::create_dir_all(&home).expect("made");
        let container = &pod["spec"]["containers"][0];
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().expect("a list") {
            let (volume, path) = (&mount["name"], mount["mountPath"].as_str().expect("a path"));
            let folder = home.join(volume.as_str().expect("a name"));
            DirBuilder::new().mode(0o700).create(&folder).expect("made");
            let volumes = pod["spec"]["volumes"].as_array().expect("a list");
            let volume = volumes.iter().find(|known| known["name"] == *volume).expect("it is there");
            for source in volume["projected"]["sources"].as_array().into_iter().flatten() {
                let of = |kind: &str, objects: &[Value], key: &str| {
                    let wanted = &source[kind]["name"];
                    let found = objects.iter().find(|known| !wanted.is_null() && known["metadata"]["name"] == *wanted);
                    found.map(|known| known[key].clone()).unwrap_or_default()
                };
                let is_encoded = !source["secret"].is_null();
                for data in [of("configMap", config_maps, "data"), of("secret", secrets, "data")] {
                    let mode =
                        u32::try_from(volume["projected"]["defaultMode"].as_u64().expect("a mode")).expect("small");
                    write(&folder, &data, mode, is_encoded);
                }
            }
            mounts.push((path.to_owned(), folder.display().to_string()));
        }
        let words: Vec<String> = container["command"].as_array().expect("a list").iter().map(text).collect();
        let words: Vec<String> =
            words.into_iter().map(|word| mounts.iter().fold(word, |word, (from, to)| word.replace(from, to))).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if is_broken {
            command = Command::new("/bin/sh");
            command.args(["-c", "echo 'no such device: cuda:0' >&2; exit 78"]);
        }
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.folder.join("bin").display()));
        for variable in container["env"].as_array().expect("a list") {
            let of_node = variable["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName";
            let value = if of_node { node.to_owned() } else { text(&variable["value"]) };
            command.env(text(&variable["name"]), value);
        }
        let log = File::create(home.join("log")).expect("made");
        command.current_dir(&home).stdin(Stdio::null()).process_group(0);
        self.running.insert(name.to_owned(), Running::start_to(&mut command, log));
    }

    /// The code of a container that ended, and what it said last.
    pub(crate) fn ended(&mut self, name: &str) -> Option<(i32, String)> {
        use std::os::unix::process::ExitStatusExt;
        let running = self.running.get_mut(name)?;
        if !running.has_ended() {
            return None;
        }
        let status = self.running.remove(name)?.wait();
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
        let log = fs::read_to_string(self.folder.join(name).join("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        Some((code, tail.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }

    /// Tells a container to go.
    pub(crate) fn tell(&self, name: &str) {
        if let Some(running) = self.running.get(name) {
            running.signal("TERM");
        }
    }

    /// Kills a container.
    pub(crate) fn end(&mut self, name: &str) {
        if let Some(running) = self.running.remove(name) {
            running.kill_group();
        }
    }

    pub(crate) fn end_all(&mut self) {
        while let Some((_, running)) = self.running.pop_first() {
            running.kill_group();
        }
    }
}

fn write(folder: &Path, data: &Value, mode: u32, is_encoded: bool) {
    for (name, value) in data.as_object().into_iter().flatten() {
        let value = value.as_str().expect("a text");
        let bytes = if is_encoded { decoded(value) } else { value.as_bytes().to_vec() };
        let mut file = File::options().write(true).create_new(true).mode(mode).open(folder.join(name)).expect("made");
        std::io::Write::write_all(&mut file, &bytes).expect("written");
    }
}

/// Bytes in base64.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter(|digit| *digit != b'=') {
        let place = DIGITS.iter().position(|known| *known == digit).expect("base64");
        held = (held << 6) | u32::try_from(place).expect("small");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).expect("a byte"));
        }
    }
    bytes
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
