# One image for all services: `ingest`, `indexer`, `api`, and `collimator`, which is all three in one
# process and sends DICOM (`collimator send`). docker-compose.yml says which one a container runs.
# Needs nothing newer than the classic builder, so that Debian's docker.io can build it.

FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build

# The dependencies in a layer of their own, built against empty packages: they take minutes and
# change rarely. A new member of the workspace is added here too, and a test or
# benchmark that a manifest names.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/ .cargo/
COPY api/Cargo.toml api/
COPY bench/Cargo.toml bench/
COPY dimse/Cargo.toml dimse/
COPY fuzz/Cargo.toml fuzz/
COPY indexer/Cargo.toml indexer/
COPY ingest/Cargo.toml ingest/
COPY shared/Cargo.toml shared/
COPY shared/audit_export/Cargo.toml shared/audit_export/
COPY shared/catalog/Cargo.toml shared/catalog/
COPY shared/character_sets/Cargo.toml shared/character_sets/
COPY shared/completion/Cargo.toml shared/completion/
COPY shared/contract/Cargo.toml shared/contract/
COPY shared/fake_issuer/Cargo.toml shared/fake_issuer/
COPY shared/store/Cargo.toml shared/store/
COPY shared/test_database/Cargo.toml shared/test_database/
COPY shared/version/Cargo.toml shared/version/
RUN for package in . api bench dimse fuzz indexer ingest shared shared/audit_export shared/catalog shared/character_sets shared/completion shared/contract shared/fake_issuer shared/store shared/test_database shared/version; do \
        mkdir $package/src && touch $package/src/lib.rs && echo 'fn main() {}' >$package/src/main.rs; \
    done \
    && rm dimse/src/main.rs shared/src/main.rs shared/*/src/main.rs \
    && mkdir -p bench/benches/pure && touch bench/benches/pure/main.rs \
    && cargo build --release --locked --workspace --exclude bench --exclude fuzz \
    && rm -r src */src shared/*/src

COPY . .
# A copied file keeps its time, which may lie before that of the empty packages; cargo would then take
# those for up to date.
# The commit and its day, for `collimator --version`: the repository is not in the build.
ARG COLLIMATOR_COMMIT=""
ARG COLLIMATOR_COMMIT_DATE=""
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --workspace --exclude bench --exclude fuzz --bins

FROM debian:12.14-slim
# The number is fixed because it owns the files in the volume, and is named as a number below because
# Kubernetes takes no name for a proof of `runAsNonRoot`. A new volume at /data takes over its owner.
RUN groupadd --gid 10001 collimator \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin collimator \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data
COPY container/ready /usr/local/bin/
# Whom webhooks over https may trust.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build \
    /build/target/release/api \
    /build/target/release/collimator \
    /build/target/release/indexer \
    /build/target/release/ingest \
    /usr/local/bin/
# Where the catalogue is, and that a published port finds the API: loopback in a container is nobody's. So it
# needs TOKENS_FILE, or INSECURE=true where the port is published on loopback only.
ENV DATA_DIR=/data \
    DATABASE_URL=sqlite:///data/catalog.db \
    API_ADDR=0.0.0.0:8000
USER 10001:10001
WORKDIR /data
# The release workflow adds version, source and time.
ARG COLLIMATOR_COMMIT=""
LABEL org.opencontainers.image.title="Collimator" \
    org.opencontainers.image.description="Receives DICOM, detects when each series is complete, and announces it" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.revision="$COLLIMATOR_COMMIT"
EXPOSE 11112 8000
CMD ["collimator"]
