//! Pools of Kubernetes jobs against an API server of our own, whose controller runs real workers as the containers of pods.
//!
//! No real cluster was ever asked. Everything the server receives is checked against Kubernetes' own schemas where
//! `kubernetes-validate` is at hand (`WINDTUNNEL_TEST_KUBERNETES_VALIDATE=PATH` demands it).

#[path = "../support/mod.rs"]
mod support;

mod api;
mod cluster;
mod deploy;
mod guide;
mod kubelet;
mod pool;
mod refusals;
mod schema;
mod site;
