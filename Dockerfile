# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
ARG BUILD_PROFILE=dist
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo install --locked --no-track --profile "$BUILD_PROFILE" --path . --root out
RUN mkdir out/data

FROM debian:bookworm-slim
COPY --from=build /source/out/bin/post-api /post-api
# The volume gets the owner of this empty folder.
COPY --from=build --chown=65532:65532 /source/out/data /data
USER 65532:65532
WORKDIR /data
VOLUME /data
ENV HOST=0.0.0.0 DATA_DIR=/data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["/post-api", "healthcheck"]
ENTRYPOINT ["/post-api"]
CMD ["serve"]
