//! The part of the pods' spec that somebody adds: tolerations, a node selector, volumes and the like.

use serde_json::{Map, Value};

use crate::pools::batch::InvalidSettings;

/// The longest part, in bytes.
const LONGEST: usize = 64 << 10;

/// What a pool decides about its pods.
const OWN: [(&str, &str); 11] = [
    ("activeDeadlineSeconds", "give --time"),
    ("automountServiceAccountToken", "workers do not ask the cluster anything"),
    ("enableServiceLinks", "services would set variables of this program"),
    ("ephemeralContainers", "pods are made without them"),
    ("initContainers", "they would start before the pool's files are checked; put what they do into the image"),
    ("nodeName", "a pool keeps away from broken nodes; give nodeSelector or affinity"),
    ("restartPolicy", "the pool decides what starts again"),
    ("terminationGracePeriodSeconds", "give --grace"),
    ("hostNetwork", "workers only dial out"),
    ("hostPID", "workers need no other process"),
    ("shareProcessNamespace", "signals have to reach the worker"),
];

/// What a pool decides about the container of a worker.
const OWN_OF_CONTAINER: [(&str, &str); 8] = [
    ("args", "the pool has a script of its own"),
    ("command", "the pool has a script of its own"),
    ("image", "give --image"),
    ("lifecycle", "the pool decides how workers end"),
    ("livenessProbe", "a worker sees to itself"),
    ("name", "it is called `worker`"),
    ("terminationMessagePath", "the pool reads what a worker said last"),
    ("terminationMessagePolicy", "the pool reads what a worker said last"),
];

/// Volumes and folders with these beginnings are the pool's.
pub(super) const OWN_VOLUMES: &str = "windtunnel-";
pub(super) const OWN_FOLDERS: &str = "/run/windtunnel";

/// Checks a part, as JSON; an empty text adds nothing.
///
/// # Errors
/// If it does not belong to a pod's spec, or sets what the pool decides.
pub(super) fn check(text: &str) -> Result<(), InvalidSettings> {
    parse(text).map(drop)
}

/// The part, once it is checked.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, InvalidSettings> {
    let refused = |why: String| InvalidSettings::PodSpec { why };
    if text.len() > LONGEST {
        return Err(refused(format!("it has {} bytes: at most {LONGEST} are accepted", text.len())));
    }
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| refused(format!("it cannot be read: {error}")))?;
    let Value::Object(part) = value else {
        return Err(refused("it is not a table of a pod's spec, such as `tolerations: [...]`".to_owned()));
    };
    for key in ["apiVersion", "kind", "metadata", "spec", "template"] {
        if part.contains_key(key) {
            return Err(refused(format!("`{key}` belongs to a whole object: give only what is below `spec` of a pod")));
        }
    }
    for (key, why) in OWN {
        if part.contains_key(key) {
            return Err(refused(format!("`{key}` is the pool's: {why}")));
        }
    }
    check_containers(part.get("containers")).map_err(refused)?;
    for volume in list(part.get("volumes"), "volumes").map_err(refused)? {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.starts_with(OWN_VOLUMES) {
            return Err(refused(format!("a volume needs a name that does not begin with `{OWN_VOLUMES}`")));
        }
    }
    Ok(part)
}

fn check_containers(containers: Option<&Value>) -> Result<(), String> {
    let containers = list(containers, "containers")?;
    if containers.len() > 1 {
        return Err("`containers` may have one element, which adds to the worker's container".to_owned());
    }
    let Some(container) = containers.first() else { return Ok(()) };
    let container = container.as_object().ok_or("`containers` has an element that is not a table")?;
    for (key, why) in OWN_OF_CONTAINER {
        if container.contains_key(key) {
            return Err(format!("`{key}` of the container is the pool's: {why}"));
        }
    }
    for variable in list(container.get("env"), "env")? {
        let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || name.starts_with("WINDTUNNEL_") {
            return Err("a variable needs a name that does not begin with `WINDTUNNEL_`".to_owned());
        }
    }
    for mount in list(container.get("volumeMounts"), "volumeMounts")? {
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default();
        if path.is_empty() || path.starts_with(OWN_FOLDERS) {
            return Err(format!("a mount needs a `mountPath` that does not begin with `{OWN_FOLDERS}`"));
        }
    }
    Ok(())
}

fn list<'a>(value: Option<&'a Value>, key: &str) -> Result<&'a [Value], String> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("`{key}` is not a list")),
    }
}

/// Adds a part to a value: tables key by key, lists one behind the other.
///
/// # Errors
/// If both say something else about the same key; the error names it.
pub(super) fn merge(into: &mut Value, part: Value, at: &str) -> Result<(), InvalidSettings> {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (key, value) in part {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                match into.get_mut(&key) {
                    Some(known) => merge(known, value, &at)?,
                    None => drop(into.insert(key, value)),
                }
            }
            Ok(())
        }
        (Value::Array(into), Value::Array(part)) => {
            into.extend(part);
            Ok(())
        }
        (into, part) if *into == part => Ok(()),
        _ => Err(InvalidSettings::PodSpec {
            why: format!("`{at}` is set by the pool already, by an option of `pool add`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pool_decides_is_refused_by_name() {
        for (part, named) in [
            (json!({"restartPolicy": "Always"}), "restartPolicy"),
            (json!({"terminationGracePeriodSeconds": 1}), "--grace"),
            (json!({"spec": {}}), "`spec`"),
            (json!({"containers": [{"image": "x"}]}), "--image"),
            (json!({"containers": [{}, {}]}), "one element"),
            (json!({"containers": {}}), "not a list"),
            (json!({"containers": [{"env": [{"name": "WINDTUNNEL_POOL"}]}]}), "WINDTUNNEL_"),
            (json!({"containers": [{"volumeMounts": [{"mountPath": "/run/windtunnel/x"}]}]}), "mountPath"),
            (json!({"volumes": [{"name": "windtunnel-pool"}]}), "volume"),
            (json!(["a"]), "not a table"),
        ] {
            let error = check(&part.to_string()).expect_err("it is the pool's").to_string();
            assert!(error.starts_with("--pod-spec: ") && error.contains(named), "{error}");
        }
        assert!(check("{").is_err() && check(&"x".repeat(LONGEST + 1)).is_err());
        assert_eq!(check(""), Ok(()));
    }

    #[test]
    fn parts_are_added_and_a_conflict_is_named() {
        let mut value = json!({"a": {"b": 1}, "list": [1], "same": "x"});
        merge(&mut value, json!({"a": {"c": 2}, "list": [2], "same": "x", "new": true}), "").expect("it is sound");
        assert_eq!(value, json!({"a": {"b": 1, "c": 2}, "list": [1, 2], "same": "x", "new": true}));
        let error = merge(&mut value, json!({"a": {"b": 2}}), "").expect_err("both set it").to_string();
        assert!(error.contains("`a.b`"), "{error}");
    }
}
