//! What a file of a segment is for, by its name: `images.pdx`, or `images-7.pdx` where commit 7 replaced it.

use patchdex_format::{FileEntry, ImageTable, MetadataTable, SegmentEntry};

use crate::index::Graph;

/// What a file of a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// Image and view table.
    Images,
    /// Prepared vectors.
    Vectors,
    /// Tokens as the model gave them, where they are kept.
    Raw,
    /// What the user said about the images.
    Metadata,
    /// The graph over the vectors.
    Graph,
}

impl FileRole {
    /// Every role, in the order in which a manifest lists their files.
    pub const ALL: [FileRole; 5] =
        [FileRole::Images, FileRole::Vectors, FileRole::Raw, FileRole::Metadata, FileRole::Graph];

    /// The role of the file called `name`.
    pub fn of(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".pdx")?;
        let stem = match stem.split_once('-') {
            Some((stem, commit)) => commit.parse::<u64>().ok().map(|_| stem)?,
            None => stem,
        };
        Self::ALL.into_iter().find(|role| role.stem() == stem)
    }

    /// The container kind of such files.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Images => ImageTable::KIND,
            Self::Vectors | Self::Raw => "vectors",
            Self::Metadata => MetadataTable::KIND,
            Self::Graph => Graph::KIND,
        }
    }

    /// The name of the file that is written with its segment.
    pub fn first_name(self) -> String {
        format!("{}.pdx", self.stem())
    }

    /// The name of the file that replaces it in commit `commit`.
    pub fn name_at(self, commit: u64) -> String {
        format!("{}-{commit}.pdx", self.stem())
    }

    /// The file of this role in a segment.
    pub fn entry(self, segment: &SegmentEntry) -> Option<&FileEntry> {
        segment.files.iter().find(|file| Self::of(&file.name) == Some(self))
    }

    /// Puts `files` into a segment, in the place of those of the same roles.
    pub fn replace(segment: &mut SegmentEntry, files: Vec<FileEntry>) {
        let roles: Vec<_> = files.iter().map(|file| Self::of(&file.name)).collect();
        if roles.contains(&Some(Self::Vectors)) {
            // It is of vectors that are gone.
            Self::drop_graph(segment);
        }
        segment.files.retain(|file| !roles.contains(&Self::of(&file.name)));
        segment.files.extend(files);
        segment
            .files
            .sort_by_key(|file| Self::ALL.iter().position(|role| Self::of(&file.name) == Some(*role)));
    }

    /// Takes the graph out of a segment.
    pub fn drop_graph(segment: &mut SegmentEntry) {
        segment.files.retain(|file| Self::of(&file.name) != Some(Self::Graph));
        segment.graph = None;
    }

    fn stem(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Vectors => "vectors",
            Self::Raw => "raw",
            Self::Metadata => "metadata",
            Self::Graph => "graph",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is_for() {
        for role in FileRole::ALL {
            assert_eq!(FileRole::of(&role.first_name()), Some(role));
            assert_eq!(FileRole::of(&role.name_at(12)), Some(role));
        }
        for name in
            ["", "images", "images-.pdx", "images-x.pdx", "graphs.pdx", "images.pdx.pdx", "images-1-2.pdx"]
        {
            assert_eq!(FileRole::of(name), None, "{name}");
        }
    }
}
