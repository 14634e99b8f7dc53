// Builds Prometheus' promtool, which judges the alerts in deploy/monitoring. Without service discovery (build tag remove_all_sd).
module sealed-secrets-rs/promtool

go 1.26.7

require github.com/prometheus/prometheus v0.316.0

replace (
	github.com/google/pprof => github.com/google/pprof v0.0.0-20250923004556-9e5a51aed1e8
	github.com/prometheus/client_golang/exp => github.com/prometheus/client_golang/exp v0.0.0-20250914183048-a974e0d45e0a
)
