// Builds sops, the peer of `cargo xtask bench kubeseal`, and age-keygen, which makes its keys.
module sealed-secrets-rs/sops

go 1.26.7

require github.com/getsops/sops/v3 v3.13.3

require filippo.io/age v1.3.1 // indirect
