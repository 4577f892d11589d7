# Copyright The cloudcert Authors.
# SPDX-License-Identifier: Apache-2.0

# Tags, so both move. renovate.json asks Renovate to pin them by digest, where it runs.
# Override them to build from a mirror.
ARG GO_IMAGE=docker.io/library/golang:1.26
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

# The compiler runs on the machine that builds and compiles for the one that the
# image is for: no emulation.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd/manager cmd/manager
COPY internal internal
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=
# Nothing of this machine or moment goes into the binary: the same source, compiler,
# VERSION and COMMIT give the same bytes.
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false \
    -ldflags="-s -w -buildid= -X github.com/cloudcert-io/cloudcert/internal/version.version=${VERSION} -X github.com/cloudcert-io/cloudcert/internal/version.commit=${COMMIT}" \
    -o /out/manager ./cmd/manager

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG COMMIT=
LABEL org.opencontainers.image.title="cloudcert" \
      org.opencontainers.image.description="Keeps the certificates of a Kubernetes cluster in Alibaba Cloud Certificate Management Service" \
      org.opencontainers.image.source="https://github.com/cloudcert-io/cloudcert" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /out/manager /manager
# By number: the kubelet cannot tell whether a name is root.
USER 65532:65532
ENTRYPOINT ["/manager"]
