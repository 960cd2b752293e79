//! `patchdex serve`: collections over HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::arguments::{NONE, ResidencyArgument, RuntimeArguments, parse_bytes, require_folder};
use super::failure::Failure;
use super::output;
use crate::core::Kind;
use crate::engine::EngineOptions;
use crate::picture::Limits;
use crate::server::{self, LogFormat, Named, ServeOptions};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folders of collections; requests call each by its folder's name without ending, or as NAME=FOLDER says
    #[arg(value_name = "COLLECTION", required = true)]
    collections: Vec<String>,
    /// Where connections are taken; port 0 is a free one. An address beside loopback needs --token-file or --insecure
    #[arg(long, env = "PATCHDEX_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
    /// The same on this machine alone, by the port: 8080 is --listen 127.0.0.1:8080
    #[arg(long, value_name = "N", conflicts_with = "listen")]
    port: Option<u16>,
    /// File with the token that requests have to present as 'Authorization: Bearer TOKEN'
    #[arg(long, env = "PATCHDEX_TOKEN_FILE", value_name = "FILE", conflicts_with = "insecure")]
    token_file: Option<PathBuf>,
    /// Answer everybody who can reach the address
    #[arg(long)]
    insecure: bool,
    /// Let requests add and remove images: files are written below the collections' roots
    #[arg(long)]
    writable: bool,
    /// Let pages of this origin ask (repeatable)
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Searches that run at the same time; they share the threads [default: as many as threads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: Option<u16>,
    /// Searches that wait while all sessions are busy; further ones are refused [default: 4 for each session]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    queue: Option<u32>,
    /// How long a request may take, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Length of a request's body at most: 32M, 1G
    #[arg(long, value_name = "BYTES", default_value = "32M", value_parser = parse_bytes)]
    max_body_bytes: u64,
    /// Pixels of a picture at most; a larger one is refused before it is decoded
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_pixels, value_parser = clap::value_parser!(u64).range(1..))]
    max_pixels: u64,
    /// Connections at the same time; for a further one, the one is hung up on that has said nothing for longest
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_connections: u32,
    /// How long a client may take to send the head of a request, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    header_timeout_ms: u64,
    /// Memory for thumbnails and crops
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = parse_bytes)]
    thumbnail_bytes: u64,
    /// How long requests that run are waited for when the service is told to stop, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    grace_ms: u64,
    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log: Log,
    /// Model folder or name [default: the one that made each collection]
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    residency: ResidencyArgument,
    #[command(flatten)]
    runtime: RuntimeArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Log {
    Text,
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let collections: Vec<Named> = arguments.collections.iter().map(|text| named(text)).collect();
    for collection in &collections {
        require_folder(&collection.path, NONE)?;
    }
    let token = arguments.token_file.as_deref().map(token).transpose()?;
    let listen = arguments.port.map_or(arguments.listen, |port| (Ipv4Addr::LOCALHOST, port).into());
    if token.is_none() && !arguments.insecure && !listen.ip().is_loopback() {
        let message = format!(
            "--listen {listen} can be reached from elsewhere; give --token-file FILE, or --insecure to answer everybody"
        );
        return Err(Failure::new(Kind::Invalid, message));
    }
    let residency = arguments.residency.residency;
    let engine = EngineOptions { residency, ..arguments.runtime.engine(arguments.model.clone()) };
    let options = ServeOptions {
        listen,
        collections,
        sessions: arguments.sessions.map(usize::from),
        engine,
        queue: arguments.queue.map(|queue| queue as usize),
        timeout: Duration::from_millis(arguments.timeout_ms),
        max_body_bytes: usize::try_from(arguments.max_body_bytes).unwrap_or(usize::MAX),
        limits: Limits { max_pixels: arguments.max_pixels, ..Limits::default() },
        max_connections: arguments.max_connections as usize,
        header_timeout: Duration::from_millis(arguments.header_timeout_ms),
        thumbnail_bytes: usize::try_from(arguments.thumbnail_bytes).unwrap_or(usize::MAX),
        token,
        is_writable: arguments.writable,
        is_insecure: arguments.insecure,
        cors: arguments.cors.clone(),
        grace: Duration::from_millis(arguments.grace_ms),
    };
    server::log_to_stderr(match arguments.log {
        Log::Text => LogFormat::Text,
        Log::Json => LogFormat::Json,
    });
    let mut told = Ok(());
    server::run(options, &mut |address| told = output::line(&format!("listening on http://{address}")))?;
    told.map(|()| Outcome::Done)
}

/// `NAME=FOLDER`, or a folder that gives its name.
fn named(text: &str) -> Named {
    match text.split_once('=') {
        // A folder may have the sign in its name.
        Some((name, path)) if !name.contains('/') && !Path::new(text).is_dir() => {
            Named { name: name.to_owned(), path: PathBuf::from(path) }
        }
        _ => {
            let path = PathBuf::from(text);
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let name = real.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Named { name, path }
        }
    }
}

/// The token in a file, without the space around it.
fn token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("{}: cannot be read: {error}; give a file with the token", file.display());
        Failure::new(Kind::Io, message)
    })?;
    let token = text.trim();
    let is_sound = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    match is_sound {
        true => Ok(token.to_owned()),
        false => {
            let message = format!(
                "{}: a token is one line of visible ASCII characters without space; 'openssl rand -hex 32' makes one",
                file.display()
            );
            Err(Failure::new(Kind::Invalid, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_is_called_as_its_folder_or_as_one_says() {
        let parts = |text: &str| (named(text).name, named(text).path.display().to_string());
        assert_eq!(parts("a=/x/y.pdx"), ("a".to_owned(), "/x/y.pdx".to_owned()));
        assert_eq!(parts("/x/y.pdx"), ("y".to_owned(), "/x/y.pdx".to_owned()));
        assert_eq!(parts("/x=1/y"), ("y".to_owned(), "/x=1/y".to_owned()));
    }
}
