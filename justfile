# `just` lists what there is. Each is one or two commands of cargo, for those who have no `just`.

_default:
    @just --list

# What the tests need beside Rust and pip, on Debian as root
setup:
    xargs -a .ci/debian-packages apt-get install -y --no-install-recommends
    cargo install --locked cargo-nextest

# Unit tests and the worlds, without the end-to-end tests
quick:
    cargo nextest run --workspace --profile quick

# Everything; FILTER runs some of it
test FILTER="":
    cargo nextest run --workspace {{FILTER}}

# The programs of an earlier commit and these side by side
upgrade COMMIT="":
    tests/rolling-upgrade {{COMMIT}}

# The whole suite with catalogues on PostgreSQL
postgres FILTER="":
    TEST_DATABASE=postgres cargo nextest run --workspace {{FILTER}}

# What has to hold before a change lands
ci:
    .ci/run

# The packages of a release, in target/dist; `just dist dev` packs debug programs
dist PROFILE="release":
    PROFILE={{PROFILE}} deploy/packages/build

# Installs and removes the .deb of `just dist` on a copy of this machine, as root
try-deb:
    deploy/packages/try-deb target/dist/*.deb

# How fast it is beside its peers
bench:
    cargo run --release -p bench -- all

# The documentation of the code
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The documents as a site with search, in target/site, and its links checked
docs-site:
    .ci/docs-site
