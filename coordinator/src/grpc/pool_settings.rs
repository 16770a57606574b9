//! Settings of pools, to and from the wire.

use proto::v1;

use crate::pools::kubernetes::KubernetesSettings;
use crate::pools::slurm::SlurmSettings;

/// Of a message.
pub(super) fn of_slurm(slurm: v1::SlurmPool) -> SlurmSettings {
    SlurmSettings {
        time_seconds: slurm.time_seconds,
        max: slurm.max,
        min: slurm.min,
        backlog: slurm.backlog,
        gpus_per_worker: slurm.gpus_per_worker,
        workers_per_allocation: slurm.workers_per_allocation,
        device: slurm.device,
        idle_seconds: slurm.idle_seconds,
        per_minute: slurm.per_minute,
        clusters: slurm.clusters,
        sbatch_args: slurm.sbatch_args,
        program: slurm.program,
        folder: slurm.folder,
        dial: slurm.dial,
        ca: slurm.ca,
    }
}

/// As a message.
pub(super) fn slurm(settings: SlurmSettings) -> v1::SlurmPool {
    v1::SlurmPool {
        time_seconds: settings.time_seconds,
        max: settings.max,
        min: settings.min,
        backlog: settings.backlog,
        gpus_per_worker: settings.gpus_per_worker,
        workers_per_allocation: settings.workers_per_allocation,
        device: settings.device,
        idle_seconds: settings.idle_seconds,
        per_minute: settings.per_minute,
        clusters: settings.clusters,
        sbatch_args: settings.sbatch_args,
        program: settings.program,
        folder: settings.folder,
        dial: settings.dial,
        ca: settings.ca,
    }
}

/// Of a message.
pub(super) fn of_kubernetes(kubernetes: v1::KubernetesPool) -> KubernetesSettings {
    KubernetesSettings {
        image: kubernetes.image,
        namespace: kubernetes.namespace,
        context: kubernetes.context,
        time_seconds: kubernetes.time_seconds,
        max: kubernetes.max,
        min: kubernetes.min,
        backlog: kubernetes.backlog,
        gpus_per_worker: kubernetes.gpus_per_worker,
        gpu_resource: kubernetes.gpu_resource,
        cpu: kubernetes.cpu,
        memory: kubernetes.memory,
        device: kubernetes.device,
        grace_seconds: kubernetes.grace_seconds,
        idle_seconds: kubernetes.idle_seconds,
        per_minute: kubernetes.per_minute,
        program: kubernetes.program,
        labels: kubernetes.labels.into_iter().collect(),
        pod_spec: kubernetes.pod_spec,
        dial: kubernetes.dial,
        ca: kubernetes.ca,
    }
}

/// As a message.
pub(super) fn kubernetes(settings: KubernetesSettings) -> v1::KubernetesPool {
    v1::KubernetesPool {
        image: settings.image,
        namespace: settings.namespace,
        context: settings.context,
        time_seconds: settings.time_seconds,
        max: settings.max,
        min: settings.min,
        backlog: settings.backlog,
        gpus_per_worker: settings.gpus_per_worker,
        gpu_resource: settings.gpu_resource,
        cpu: settings.cpu,
        memory: settings.memory,
        device: settings.device,
        grace_seconds: settings.grace_seconds,
        idle_seconds: settings.idle_seconds,
        per_minute: settings.per_minute,
        program: settings.program,
        labels: settings.labels.into_iter().collect(),
        pod_spec: settings.pod_spec,
        dial: settings.dial,
        ca: settings.ca,
    }
}
