//! The gRPC code under `src/grpc/generated` is what `proto/` generates today.
//!
//! The code is checked in, so that nobody needs `protoc` or a build script to use
//! the crate. Whoever changes a `.proto` file, or the version of a generator,
//! writes the code anew with
//!
//! ```text
//! USCHAT_REGENERATE=1 cargo test -p uschat-proto --test generated_code_is_current
//! ```
//!
//! That command leaves feature `grpc` off on purpose: it works even when the
//! checked-in code is missing or does not compile.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const COMMAND: &str = "USCHAT_REGENERATE=1 cargo test -p uschat-proto --test generated_code_is_current";

/// One checked-in file and where it comes from.
struct Generated {
    proto: &'static str,
    /// What the generator calls its output: the protobuf package.
    package: &'static str,
    file: &'static str,
    /// Messages that carry a token or a code. They get no derived `Debug`;
    /// `src/grpc/redacted.rs` writes one that keeps the secret.
    secrets: &'static [&'static str],
}

const GENERATED: [Generated; 3] = [
    Generated {
        proto: "message_s1.proto",
        package: "message",
        file: "message_s1.rs",
        secrets: &[".message.GetVarifyRsp", ".message.GetChatServerRsp", ".message.LoginReq", ".message.LoginRsp"],
    },
    Generated { proto: "message_m.proto", package: "message", file: "message_m.rs", secrets: &[] },
    Generated {
        proto: "uschat/peer/v1/peer.proto",
        package: "uschat.peer.v1",
        file: "uschat.peer.v1.rs",
        secrets: &[],
    },
];

#[test]
fn generated_code_is_current() {
    let rewrite = env::var_os("USCHAT_REGENERATE").is_some_and(|value| value == "1");
    let mut stale = Vec::new();
    for generated in &GENERATED {
        let fresh = generate(generated).unwrap_or_else(|error| panic!("{} does not compile: {error}", generated.proto));
        let path = crate_dir().join("src/grpc/generated").join(generated.file);
        if rewrite {
            fs::write(&path, fresh).unwrap();
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&fresh) {
            stale.push(generated.file);
        }
    }
    assert!(
        stale.is_empty(),
        "src/grpc/generated is not what proto/ generates ({}): run `{COMMAND}` and commit the result.",
        stale.join(", ")
    );
}

/// Compiles one file in pure Rust into a directory of its own, because S1 and M
/// share a package and so the name of the output.
fn generate(generated: &Generated) -> Result<String, Box<dyn Error>> {
    let out = tempfile::tempdir()?;
    let descriptors = protox::compile([generated.proto], [proto_dir()])?;
    tonic_prost_build::configure()
        .out_dir(out.path())
        .build_client(true)
        .build_server(true)
        .emit_rerun_if_changed(false)
        .skip_debug(generated.secrets)
        .compile_fds(descriptors)?;
    let file = out.path().join(format!("{}.rs", generated.package));
    Ok(fs::read_to_string(file)?)
}

fn proto_dir() -> PathBuf {
    crate_dir().join("proto")
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
