//! Frames of a video file: decoded by ffmpeg into a folder of their own, which goes when they are no longer needed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::scratch::ScratchFolder;
use super::{LabelError, LabelledImage, LabelledSet};
use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// Extensions of video files.
const EXTENSIONS: [&str; 9] = ["avi", "mp4", "mov", "mkv", "webm", "mpg", "mpeg", "m4v", "ogv"];
/// Says which frames go out as they come in, none twice and none left out; the older word after the newer one.
const AS_THEY_ARE: [[&str; 2]; 2] = [["-fps_mode", "passthrough"], ["-vsync", "0"]];

/// Frames of a video, as files.
#[derive(Debug)]
pub struct VideoFrames {
    folder: ScratchFolder,
    /// The frames, with their numbers from 1.
    pub images: Vec<LabelledImage>,
}

/// Why a video cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Frames that cannot be read.
    #[error(transparent)]
    Labels(#[from] LabelError),
    /// Nothing decodes videos here.
    #[error(
        "{}: videos are decoded by ffmpeg, which is not installed, or not in PATH; install it, or give a folder of frames \
         (000001.png is the first) in place of the video", path.display()
    )]
    NoFfmpeg {
        /// The video.
        path: PathBuf,
    },
    /// What ffmpeg says.
    #[error("{}: ffmpeg cannot decode it: {said}", path.display())]
    Broken {
        /// The video.
        path: PathBuf,
        /// Its last line.
        said: String,
    },
}

impl Fault for VideoError {
    fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::Labels(error) => error.kind(),
            Self::NoFfmpeg { .. } => Kind::NotFound,
            Self::Broken { .. } => Kind::Invalid,
        }
    }
}

/// Whether a file is named as a video.
pub fn is_video(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

impl VideoFrames {
    /// Decodes every so many frames of `video`, from the first up to the one of number `last`.
    ///
    /// # Errors
    /// No ffmpeg, a file that it cannot decode, no room for the frames.
    pub fn decode(video: &Path, every: u32, last: Option<i64>) -> Result<Self, VideoError> {
        std::fs::metadata(video).map_err(StorageError::at("read", video))?;
        let folder = ScratchFolder::new_in(&std::env::temp_dir(), "frames")?;
        let mut frames = Self { folder, images: Vec::new() };
        let mut failure = None;
        for words in AS_THEY_ARE {
            let output = frames.ffmpeg(video, every, last, words)?;
            if output.status.success() {
                failure = None;
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let knows_words = !said.contains("fps_mode");
            failure = Some((output.status, said));
            if knows_words {
                break;
            }
        }
        let broken = |said: &str| VideoError::Broken { path: video.to_owned(), said: said.to_owned() };
        if let Some((status, said)) = failure {
            return Err(broken(said.lines().last().unwrap_or(&format!("ffmpeg ended with {status}"))));
        }
        let images = LabelledSet::frames(frames.folder.path());
        frames.images = images.map_err(|error| match error {
            LabelError::NoFrames { .. } => broken("it has no frame"),
            error => error.into(),
        })?;
        let name = video.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for image in &mut frames.images {
            let at = image.frame.as_ref().map_or(1, |(_, at)| *at);
            image.frame = Some((name.clone(), 1 + (at - 1) * i64::from(every)));
        }
        Ok(frames)
    }

    fn ffmpeg(
        &self,
        video: &Path,
        every: u32,
        last: Option<i64>,
        as_they_are: [&str; 2],
    ) -> Result<Output, VideoError> {
        let absolute = std::path::absolute(video).map_err(StorageError::at("find", video))?;
        // As a file: other words before a colon would be protocols.
        let mut input = std::ffi::OsString::from("file:");
        input.push(absolute);
        let mut command = Command::new("ffmpeg");
        command.current_dir(self.folder.path()).args([
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "error",
            "-i",
        ]);
        command.arg(input).args(["-map", "0:v:0", "-vf", &format!("select=not(mod(n\\,{every}))")]);
        command.args(as_they_are);
        if let Some(last) = last {
            command.args(["-frames:v", &((last - 1).max(0) / i64::from(every) + 1).to_string()]);
        }
        command.args(["-f", "image2", "-pix_fmt", "rgb24", "-compression_level", "1", "%08d.png"]);
        command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => VideoError::NoFfmpeg { path: video.to_owned() },
            _ => StorageError::at("decode", video)(error).into(),
        })
    }
}
