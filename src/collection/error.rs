//! Why a collection cannot be opened, written or asked.

use std::path::PathBuf;

use patchdex_format::{Cause, FormatError, GraphPlan};

use crate::core::{Fault, Kind};
use crate::dims::PreparationError;
use crate::index::UnknownBuilder;
use crate::segment::{DAMAGE_ADVICE, OpenSegmentError};
use crate::storage::StorageError;

/// Why a collection cannot be opened, written or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// There is no collection.
    #[error("{} is not a collection{}", path.display(), match unfinished {
        Some(command) => format!(", it holds an unfinished one: run the same 'patchdex {command}' command again to go on"),
        None => " (no manifest.json); make one with 'patchdex index IMAGES --out FOLDER'".to_owned(),
    })]
    None {
        /// The folder.
        path: PathBuf,
        /// The command that was interrupted there.
        unfinished: Option<&'static str>,
    },
    /// The manifest is damaged, edited, or of a later version.
    #[error("{}: {source}{}", path.display(), advice(manifest_kind(source)))]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// A value that this version does not know.
    #[error("{}: {what} '{value}' is unknown to this patchdex; use a newer one", path.display())]
    Unknown {
        /// The collection.
        path: PathBuf,
        /// Which field.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A graph is to be built, and there is nobody to build it.
    #[error(
        "{}: its graphs are built by '{name}': {source}; 'patchdex compact --index hnsw --builder batch' has them built by another",
        path.display()
    )]
    Builder {
        /// The collection.
        path: PathBuf,
        /// The builder's name.
        name: String,
        /// Why it is not there.
        source: UnknownBuilder,
    },
    /// A file that the manifest lists beside the segments is not there.
    #[error("{} is missing, though the manifest lists it{DAMAGE_ADVICE}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The list of rejects is not the one that the manifest lists.
    #[error("{} is not the file that the manifest lists ({what}){DAMAGE_ADVICE}", path.display())]
    Rejects {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The preparation's file is damaged.
    #[error("{}: {source}{}", path.display(), advice(source.kind()))]
    Preparation {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PreparationError,
    },
    /// The preparation's file is sound, but another one.
    #[error("{} is not the preparation that the manifest names{DAMAGE_ADVICE}", path.display())]
    ForeignPreparation {
        /// The file.
        path: PathBuf,
    },
    /// A segment's file is missing or damaged.
    #[error(transparent)]
    Segment(#[from] OpenSegmentError),
    /// A graph that is worth nothing, though the user asked for one.
    #[error("no graph that is worth having can be made for {}: {what}; the same command with --index exact does without, and scans", path.display())]
    Graph {
        /// The segment.
        path: PathBuf,
        /// What was measured.
        what: String,
    },
    /// Stopped from outside.
    #[error("stopped while the graphs of {} were built, nothing was changed; run the same command again", path.display())]
    Stopped {
        /// The collection.
        path: PathBuf,
    },
    /// Vectors that graphs do not serve, though the user asked for graphs.
    #[error("{}: graphs do not serve its vectors, for {why}; they are scanned as they are, nothing was changed", path.display())]
    Unsuited {
        /// The collection.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A finished collection whose graphs are made otherwise than a command asks for.
    #[error("{0} is finished, and {1}; 'patchdex compact {0} --index hnsw', with --builder, --m, --ef-construction and --merge-similar, or --index exact, changes that, nothing was changed", path.display(),
        match held {
            Some(plan) => format!(
                "its graphs are of m {}, ef-construction {}, built by {}{}",
                plan.m,
                plan.ef_construction,
                plan.builder,
                plan.merge_similar.map(|cosine| format!(", merging from {cosine} on")).unwrap_or_default()
            ),
            None => "it has no graphs".to_owned(),
        })]
    OtherGraphs {
        /// The collection.
        path: PathBuf,
        /// Its graphs.
        held: Option<GraphPlan>,
    },
    /// The system refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder has other things in it.
    #[error("{} exists and is not a collection ({found}); choose another folder, nothing was changed", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A whole collection of other images or options.
    #[error("{} already holds a collection that was made from other images or with other options; choose another folder, nothing was changed", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
    },
    /// Unfinished work of other inputs or options.
    #[error("{} holds the unfinished work of a 'patchdex {command}' of other inputs or options; run that command again, or {}", path.display(),
        if *adding { "give --restart to throw its work away" } else { "remove the folder" })]
    OtherDraft {
        /// The folder.
        path: PathBuf,
        /// Whose work it is.
        command: &'static str,
        /// Whether it is an addition to a collection.
        adding: bool,
    },
    /// Nothing is called so.
    #[error("no image of {} is called, or matches, '{pattern}'; 'patchdex inspect --images' lists them, nothing was changed", path.display())]
    NoMatch {
        /// The collection.
        path: PathBuf,
        /// What was looked for.
        pattern: String,
    },
    /// A condition on a column that no image has.
    #[error("no image of {} has a column '{name}'; there are {known}", path.display())]
    NoColumn {
        /// The collection.
        path: PathBuf,
        /// The column.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// Collections that do not belong together.
    #[error(transparent)]
    Different(Box<Difference>),
    /// The model's own tokens are needed and were not kept.
    #[error("{} does not keep the model's own tokens, so no other preparation can be made from it; index again with --keep-raw", path.display())]
    NoRaw {
        /// The segment's folder, or the collection's.
        path: PathBuf,
    },
    /// There is no model to ask or add images with.
    #[error("{} was made of imported vectors, not with a model: it cannot be asked with images, and none can be added; ask with 'patchdex query COLLECTION --vectors FILE', and to add, import into another collection and 'patchdex merge' both", path.display())]
    Imported {
        /// The collection.
        path: PathBuf,
    },
    /// There are no tokens of a model to make other vectors from.
    #[error("{} was made of imported vectors, and has no tokens of a model that another preparation could be made from; prepare the vectors where they come from, and 'patchdex import' them anew", path.display())]
    ImportedTokens {
        /// The collection.
        path: PathBuf,
    },
    /// Images that are known by their vectors alone cannot be missed.
    #[error("{} was made of imported vectors, whose images need not be on this disk, so none can be told to be missing; name the images to remove, nothing was changed", path.display())]
    ImportedImages {
        /// The collection.
        path: PathBuf,
    },
    /// A preparation that cannot be fitted.
    #[error(transparent)]
    Fit(#[from] PreparationError),
    /// A preparation file that cannot be used.
    #[error("{}: {source}", path.display())]
    PreparationFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PreparationError,
    },
    /// Images below roots that have no folder in common.
    #[error("{} and {} have no folder in common, so their images cannot be named below one root", first.display(), second.display())]
    NoCommonRoot {
        /// One root.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// Why two collections do not belong together.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} and {} cannot be joined: {what} differ ({}, {}); {advice}",
    paths[0].display(), paths[1].display(), values[0], values[1]
)]
pub struct Difference {
    /// Both collections.
    pub paths: [PathBuf; 2],
    /// What differs.
    pub what: &'static str,
    /// In each.
    pub values: [String; 2],
    /// What to do.
    pub advice: &'static str,
}

/// A later version already says what to do.
fn advice(kind: Kind) -> &'static str {
    match kind {
        Kind::Incompatible => "",
        _ => DAMAGE_ADVICE,
    }
}

fn manifest_kind(source: &FormatError) -> Kind {
    match source.cause {
        Cause::Version { .. } => Kind::Incompatible,
        _ => Kind::Corrupt,
    }
}

impl Fault for CollectionError {
    fn kind(&self) -> Kind {
        match self {
            Self::None { .. } => Kind::NotFound,
            Self::Manifest { source, .. } => manifest_kind(source),
            Self::Unknown { .. } | Self::Builder { .. } => Kind::Incompatible,
            Self::Preparation { source, .. } | Self::PreparationFile { source, .. } => source.kind(),
            Self::ForeignPreparation { .. } | Self::Missing { .. } | Self::Rejects { .. } => Kind::Corrupt,
            Self::Segment(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::NoMatch { .. } => Kind::NotFound,
            Self::Stopped { .. } => Kind::Io,
            Self::NoColumn { .. } => Kind::Invalid,
            Self::Different(_)
            | Self::NoRaw { .. }
            | Self::Imported { .. }
            | Self::ImportedTokens { .. }
            | Self::ImportedImages { .. } => Kind::Incompatible,
            Self::Fit(error) => error.kind(),
            Self::Occupied { .. }
            | Self::Other { .. }
            | Self::OtherDraft { .. }
            | Self::Graph { .. }
            | Self::Unsuited { .. }
            | Self::OtherGraphs { .. }
            | Self::NoCommonRoot { .. } => Kind::Invalid,
        }
    }
}
