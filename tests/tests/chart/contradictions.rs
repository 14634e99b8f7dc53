//! Values that the chart refuses, with their path and the reason.

use crate::support::template;

/// Values with Helm's expected error.
const REFUSED: &[(&str, &str)] = &[
    // Unknown names.
    ("replicas: 2", "additional properties 'replicas' not allowed"),
    ("image: {name: x}", "at '/image': additional properties 'name' not allowed"),
    ("service: {ports: 80}", "at '/service': additional properties 'ports' not allowed"),
    (
        "metrics: {serviceMonitor: {enable: true}}",
        "at '/metrics/serviceMonitor': additional properties 'enable'",
    ),
    ("rbac: {serviceProxier: {subject: []}}", "at '/rbac/serviceProxier': additional properties 'subject'"),
    ("readinessProbe: {path: /x}", "at '/readinessProbe': additional properties 'path' not allowed"),
    ("resources: {limit: {cpu: 1}}", "at '/resources': additional properties 'limit' not allowed"),
    (
        "networkPolicy: {egress: {cidr: x}}",
        "at '/networkPolicy/egress': additional properties 'cidr' not allowed",
    ),
    (
        "rotation: {policy: {rotation: {evry: 30d}}}",
        "at '/rotation/policy/rotation': additional properties 'evry' not allowed",
    ),
    (
        "containerSecurityContext: {runAsNonRot: true}",
        "at '/containerSecurityContext': additional properties 'runAsNonRot' not allowed",
    ),
    ("podSecurityContext: {fsGrp: 1}", "at '/podSecurityContext': additional properties 'fsGrp' not allowed"),
    ("updateStrategy: {typo: x}", "at '/updateStrategy': additional properties 'typo' not allowed"),
    // Empty values.
    ("image:", "at '': missing property 'image'"),
    ("rbac:", "at '': missing property 'rbac'"),
    ("image: {repository: }", "at '/image': missing property 'repository'"),
    ("updateStatus:", "at '': missing property 'updateStatus'"),
    // Types.
    ("replicaCount: two", "at '/replicaCount': got string, want integer"),
    ("replicaCount: -1", "at '/replicaCount': minimum"),
    ("updateStatus: \"false\"", "at '/updateStatus': got string, want boolean"),
    ("logInfoStdout: 0", "at '/logInfoStdout': got number, want boolean"),
    ("createController: null\nskipRecreate: yes please", "at '/skipRecreate': got string, want boolean"),
    ("additionalNamespaces: team-a", "at '/additionalNamespaces': got string, want array"),
    ("additionalNamespaces: [Team_A]", "at '/additionalNamespaces/0': 'Team_A' does not match pattern"),
    ("additionalNamespaces: [a, a]", "at '/additionalNamespaces': items at 0 and 1 are equal"),
    ("podLabels: {a: 1}", "at '/podLabels/a': got number, want string"),
    ("commonAnnotations: [a]", "at '/commonAnnotations': got array, want object"),
    ("containerPorts: {http: 70000}", "at '/containerPorts/http': maximum"),
    ("service: {port: http}", "at '/service/port': got string, want integer"),
    ("extraArgs: --key-size=3072", "at '/extraArgs': got string, want array"),
    ("hostUsers: never", "at '/hostUsers': got string, want"),
    ("crds: {rotation: \"no\"}", "at '/crds/rotation': got string, want boolean"),
    ("rotation: {policy: {suspend: \"yes\"}}", "at '/rotation/policy/suspend': got string, want boolean"),
    // Formats.
    ("kubeVersion: latest", "at '/kubeVersion': 'latest' does not match pattern"),
    (
        "rotation: {policy: {rotation: {every: 30x}}}",
        "at '/rotation/policy/rotation/every': '30x' does not match pattern",
    ),
    (
        "rotation: {policy: {rotation: {rotateAfter: soon}}}",
        "at '/rotation/policy/rotation/rotateAfter': 'soon' is not valid date-time",
    ),
    ("serviceAccount: {name: Bad Name}", "at '/serviceAccount/name': 'Bad Name' does not match pattern"),
    ("pdb: {create: true, maxUnavailable: 00%}", "at '/pdb/maxUnavailable': '00%' does not match pattern"),
    ("pdb: {create: true, minAvailable: 150%}", "at '/pdb/minAvailable': '150%' does not match pattern"),
    ("image: {pullPolicy: Sometimes}", "at '/image/pullPolicy': value must be one of 'Always'"),
    ("image: {digest: latest}", "at '/image/digest': 'latest' does not match pattern"),
    ("logLevel: chatty", "at '/logLevel': value must be one of"),
    ("logFormat: xml", "at '/logFormat': value must be one of"),
    ("keyrenewperiod: 30 days", "at '/keyrenewperiod': '30 days' does not match pattern"),
    ("keyrenewperiod: 30", "at '/keyrenewperiod': maximum"),
    ("keycutofftime: 2024-10-14", "at '/keycutofftime'"),
    ("rateLimit: 0", "at '/rateLimit': minimum"),
    ("secretName: My_Key", "at '/secretName': 'My_Key' does not match pattern"),
    ("privateKeyAnnotations: {a: \"1,2\"}", "at '/privateKeyAnnotations/a': '1,2' does not match pattern"),
    ("service: {type: Internal}", "at '/service/type': value must be one of"),
    ("metrics: {serviceMonitor: {interval: often}}", "at '/metrics/serviceMonitor/interval'"),
    // Contradictions.
    (
        "pdb: {create: true, minAvailable: 1, maxUnavailable: 1}",
        "pdb.minAvailable, pdb.maxUnavailable: a PodDisruptionBudget has one",
    ),
    (
        "pdb: {create: true, minAvailable: 1}",
        "pdb.minAvailable: 1 of 1 replicas would prevent every drain of a node",
    ),
    (
        "pdb: {create: true, minAvailable: 50%}",
        "pdb.minAvailable: 50% of 1 replicas would prevent every drain of a node",
    ),
    (
        "replicaCount: 2\npdb: {create: true, minAvailable: 51%}",
        "pdb.minAvailable: 51% of 2 replicas would prevent every drain of a node",
    ),
    (
        "replicaCount: 9\npdb: {create: true, minAvailable: 100%}",
        "pdb.minAvailable: 100% of 9 replicas would prevent every drain of a node",
    ),
    ("pdb: {create: true, maxUnavailable: 0%}", "pdb.maxUnavailable: 0% would prevent every drain of a node"),
    ("rbac: {serviceProxier: {subjects: nonsense}}", "rbac.serviceProxier.subjects: must be a list of RBAC"),
    (
        "rbac: {serviceProxier: {subjects: [{kind: Group}]}}",
        "rbac.serviceProxier.subjects: must be a list of",
    ),
    ("pdb: {create: true, maxUnavailable: 0}", "pdb.maxUnavailable: 0 would prevent every drain of a node"),
    ("rbac: {pspEnabled: true}", "rbac.pspEnabled: Kubernetes has had no PodSecurityPolicy since 1.25"),
    (
        "serviceAccount: {create: false}",
        "serviceAccount.name: with serviceAccount.create=false the permissions would go to",
    ),
    ("service: {nodePort: 30080}", "service.nodePort: a Service of type ClusterIP has none"),
    (
        "metrics: {service: {loadBalancerClass: x}}",
        "metrics.service.loadBalancerClass: only a Service of type LoadBalancer",
    ),
    ("containerPorts: {metrics: 8080}", "containerPorts.metrics: 8080 is containerPorts.http, too"),
    (
        "hostNetwork: true\nhostPorts: {http: 80}",
        "hostPorts.http: with hostNetwork it is containerPorts.http, which is 8080",
    ),
    (
        "networkPolicy: {enabled: true, egress: {enabled: true}}",
        "networkPolicy.egress.kubeapiCidr, networkPolicy.egress.kubeapiPort: both are needed",
    ),
    ("ingress: {enabled: true, selfSigned: true}", "ingress.selfSigned: has no effect without ingress.tls"),
    ("leaderElection: {enabled: sometimes}", "at '/leaderElection/enabled': value must be one of"),
    (
        "leaderElection: {leaseDuration: 1h}",
        "at '/leaderElection/leaseDuration': '1h' does not match pattern",
    ),
    (
        "replicaCount: 2\nleaderElection: {leaseDuration: 4s}",
        "leaderElection.leaseDuration: 4s is not from 5s to 10m",
    ),
    (
        "replicaCount: 2\nleaderElection: {leaseDuration: 10m1s}",
        "leaderElection.leaseDuration: 10m1s is not from 5s to 10m",
    ),
    (
        "replicaCount: 2\nupdateStrategy: {type: Recreate}",
        "updateStrategy.type: Recreate would end all replicas before a new one starts",
    ),
    (
        "replicaCount: 2\nleaderElection: {enabled: false}\nupdateStrategy: {type: Recreate}",
        "updateStrategy.type: Recreate would end all replicas before a new one starts",
    ),
    ("crds: {rotation: false}\nrotation: {policy: {suspend: true}}", "rotation.policy: needs crds.rotation"),
];

#[test]
fn wrong_values_fail_with_their_path_and_the_reason() {
    for &(values, reason) in REFUSED {
        let output = template(values);
        assert!(!output.status.success() && output.stdout.is_empty(), "taken: {values}");
        assert!(output.stderr.contains(reason), "{values}\nsays {}\nnot {reason}", output.stderr);
    }
}

#[test]
fn all_contradictions_are_reported_at_once() {
    let output = template("rbac: {pspEnabled: true}\ncontainerPorts: {metrics: 8080}\n");
    let told = output.stderr.lines().filter(|line| line.starts_with("- ")).count();
    assert_eq!(told, 2, "{}", output.stderr);
}

/// Disruption budgets that allow the eviction of at least one Pod, for so many replicas.
const BUDGETS: [(u32, &str); 5] = [
    (2, "minAvailable: 50%"),
    (3, "minAvailable: 66%"),
    (1, "minAvailable: 0%"),
    (1, "maxUnavailable: 1%"),
    (2, "minAvailable: 1"),
];

#[test]
fn a_budget_that_lets_a_pod_go_is_taken() {
    for (replicas, budget) in BUDGETS {
        let manifest =
            template(&format!("replicaCount: {replicas}\npdb: {{create: true, {budget}}}")).ok().unwrap();
        assert!(manifest.contains(&format!("  {budget}\n")), "{replicas}: {budget}\n{manifest}");
    }
}

#[test]
fn a_lease_of_five_seconds_to_ten_minutes_is_taken() {
    for duration in ["5s", "15s", "1m30s", "10m"] {
        let manifest = template(&format!("replicaCount: 2\nleaderElection: {{leaseDuration: {duration}}}"));
        let flag = format!("--leader-elect-lease-duration={duration}");
        assert!(manifest.ok().unwrap().contains(&flag), "{duration}");
    }
}
