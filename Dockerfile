# The server as an image: one static binary, no shell, nobody's rights, and
# nothing that it writes to but a volume on /var/lib/parsec. See docs/hosting.md.
#
#   docker build --build-arg VERSION=v1.0.0 --build-arg COMMIT=$(git rev-parse HEAD) -t parsec-server .
#   docker buildx build --platform linux/amd64,linux/arm64 …
#   docker run --rm -p 6777:6777 parsec-server backend run --dev -H 0.0.0.0

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=unversioned COMMIT=
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /parsec ./cmd/parsec && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=unversioned COMMIT=
LABEL org.opencontainers.image.title="Parsec server" \
      org.opencontainers.image.description="A server for Parsec clients 1.12 to 2.17, and 3.3 and later" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT"
COPY --from=build /parsec /usr/local/bin/parsec
# For a volume that the server may write to, such as one of file:/var/lib/parsec/blocks.
COPY --from=build --chown=nonroot:nonroot /data /var/lib/parsec
ENV PARSEC_HOST=0.0.0.0
EXPOSE 6777
# Whoever restarts or leaves out a container by its health asks whether the
# process lives: a database that is away is away for all of them. The settings of
# the check are those of the server: give them as variables, which both see.
HEALTHCHECK --interval=5s --timeout=6s --start-period=1m \
    CMD ["parsec", "backend", "healthcheck", "--live"]
ENTRYPOINT ["parsec"]
CMD ["backend", "run"]
