//! The scope each method of each service needs. A test checks it against the compiled contract.

use super::token::Scope;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: the answer only shows that somebody is there.
    Nothing,
    /// A token whose scope allows this one.
    Scope(Scope),
}

/// The page of metrics. Its listener has no services.
const METRICS: &str = "/metrics";

/// What a method needs. One that is not in the table, such as a method of a later version, needs the most.
pub(crate) fn need(path: &str) -> Need {
    known(path).unwrap_or(Need::Scope(Scope::Admin))
}

fn known(path: &str) -> Option<Need> {
    if path == METRICS {
        return Some(Need::Scope(Scope::Read));
    }
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let scope = match (service, method) {
        ("grpc.health.v1.Health", _) => return Some(Need::Nothing),
        ("grpc.reflection.v1.ServerReflection", _) => Scope::Read,
        ("windtunnel.v1.WorkerService", "Session") => Scope::Worker,
        (
            "windtunnel.v1.CampaignService",
            "GetInfo" | "ListCampaigns" | "GetCampaign" | "ReadCampaign" | "WatchCampaign" | "GetCurves" | "GetResults"
            | "ReadResults" | "GetResultRows" | "ListWorkers" | "GetCheckpoint" | "ListCheckpoints" | "ReadCheckpoints",
        ) => Scope::Read,
        (
            "windtunnel.v1.CampaignService",
            "Submit" | "ExtendCampaign" | "BranchCampaign" | "EvaluateCampaign" | "CancelCampaign" | "RetryCampaign"
            | "BeginUpload" | "WriteUpload" | "CompleteUpload" | "ReadTokenizer",
        ) => Scope::Submit,
        ("windtunnel.v1.PoolService", "ListPools") => Scope::Read,
        // It runs commands as the coordinator's user.
        ("windtunnel.v1.PoolService", "AddPool" | "ChangePool") => Scope::Admin,
        // It deletes files for good.
        ("windtunnel.v1.CampaignService", "CollectCheckpoints" | "RemoveCheckpoints" | "ForgetCampaign") => {
            Scope::Admin
        }
        _ => return None,
    };
    Some(Need::Scope(scope))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn no_method_of_the_contract_is_missing() {
        let mut methods = 0;
        let contract = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("it is one");
        for file in contract.file.iter().filter(|file| file.package().starts_with("windtunnel")) {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(matches!(known(&path), Some(Need::Scope(_))), "{path} is not in the table");
                    methods += 1;
                }
            }
        }
        assert!(methods >= 12, "{methods}");
        assert_eq!(need(crate::metrics::PATH), Need::Scope(Scope::Read));
        assert_eq!(need("/windtunnel.v1.CampaignService/FromTheFuture"), Need::Scope(Scope::Admin));
    }
}
