# The static program and nothing else:
#
#   docker build -t rnn .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" rnn run -w w.npz -i x.npy
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
# /tmp is for standard input that has to be read twice.
RUN packaging/static.sh && install -D dist/rnn /root/image/rnn && install -d -m 1777 /root/image/tmp /root/image/data

FROM scratch
COPY --from=build /root/image /
WORKDIR /data
ENTRYPOINT ["/rnn"]
