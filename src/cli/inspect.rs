//! `patchdex inspect`: what is inside a collection.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, require_folder};
use super::failure::Failure;
use super::graphs::tell_damaged_graphs;
use super::output;
use crate::collection::{Collection, is_imported};
use crate::segment::{OpenSegmentError, Segment};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection
    collection: PathBuf,
    /// Also list the images
    #[arg(long)]
    images: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, NONE)?;
    let start = Instant::now();
    let collection = Collection::open(&arguments.collection)?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    tell_damaged_graphs(&collection);
    let manifest = collection.manifest();
    let files: Vec<_> = collection
        .segments()
        .iter()
        .flat_map(|segment| segment.files())
        .map(|(path, layout, bytes)| {
            let sections = layout.sections.iter().map(|section| {
                json!({"name": section.name, "element": section.element.name(), "rows": section.rows,
                       "cols": section.cols, "offset": section.offset, "bytes": section.size_bytes()})
            });
            json!({"path": path.to_string_lossy(), "kind": layout.kind, "bytes": bytes, "created_by": layout.created_by,
                   "sections": sections.collect::<Vec<_>>()})
        })
        .collect();
    let images = arguments.images.then(|| list_images(&collection)).transpose()?;
    let total =
        |pick: fn(&patchdex_format::SegmentEntry) -> u64| manifest.segments.iter().map(pick).sum::<u64>();
    let live = collection.segments().iter().map(Segment::live_patch_count).sum::<Result<u64, _>>()?;
    let dead = total(|s| s.patches).saturating_sub(live);
    if arguments.json {
        let mut whole = json!({"collection": collection.path().to_string_lossy(), "open_ms": open_ms, "manifest": manifest,
                               "dead_patches": dead, "files": files});
        if let Some(images) = images {
            whole["images"] = images.into();
        }
        return output::json(&whole).map(|()| Outcome::Done);
    }
    let (model, preparation) = (&manifest.model, &manifest.preparation);
    let tiles = manifest
        .views
        .tiles
        .map(|t| format!(", tiles of {} px overlapping by {} px", t.side_px, t.overlap_px));
    let quarters = if manifest.views.pyramid { ", overlapping quarters" } else { "" };
    let tiles = tiles.unwrap_or_default();
    let views = format!(": whole images at {} px{tiles}{quarters}", manifest.views.long_side_px);
    let on = model.device.as_ref().map(|device| format!(" on {device}")).unwrap_or_default();
    let licence = model.licence.as_ref().map(|licence| format!("; licence: {licence}")).unwrap_or_default();
    let made_by = format!(
        "{} {}{on}, output {}, patches of {} px, digest {:.12}{licence}",
        model.name, model.variant, model.output, model.patch_px, model.digest
    );
    let shown = collection.path().display();
    let without_image = match dead {
        0 => String::new(),
        dead => {
            format!("; {} of them without an image until 'patchdex compact {shown}'", output::count(dead))
        }
    };
    let (views, made_by) = match is_imported(manifest) {
        true => (String::new(), "none: imported vectors".to_owned()),
        false => (views, made_by),
    };
    let fitted_on = match preparation.fitted_on.as_str() {
        "" => String::new(),
        fitted_on => format!(" (fitted on: {fitted_on})"),
    };
    output::line(&format!(
        "collection   {shown}, commit {}, written by {}, opened in {open_ms:.1} ms\n\
         images       {} below {}\n\
         views        {}{}\n\
         patches      {} of {} numbers, {}, {}{without_image}\n\
         model        {}\n\
         preparation  {}{fitted_on}",
        manifest.commit,
        manifest.created_by,
        output::count(total(|s| s.images)),
        manifest.root,
        output::count(total(|s| s.views)),
        views,
        output::count(total(|s| s.patches)),
        manifest.dim,
        manifest.vectors,
        manifest.metric,
        made_by,
        preparation.spec,
    ))?;
    for segment in &manifest.segments {
        let Some(graph) = &segment.graph else {
            if manifest.graph.is_some() && segment.patches > 0 {
                output::line(&format!("graph        of segment {}: none, it is scanned", segment.id))?;
            }
            continue;
        };
        let recall: Vec<String> = graph
            .recall
            .iter()
            .map(|point| format!("{:.3} at ef {}", point.recall_at_10, point.ef))
            .collect();
        let shared = |nodes| {
            format!("{} for {} patches, ", output::counted(nodes, "node"), output::count(segment.patches))
        };
        output::line(&format!(
            "graph        of segment {}: {}{:.1} links a node; recall@10 {}",
            segment.id,
            graph.nodes.map(shared).unwrap_or_default(),
            graph.mean_degree,
            recall.join(", ")
        ))?;
    }
    for (path, layout, bytes) in collection.segments().iter().flat_map(|segment| segment.files()) {
        output::line(&format!("file         {} {}", path.display(), output::bytes(bytes)))?;
        for section in &layout.sections {
            output::line(&format!(
                "  {:<11} {} × {} {} at byte {}",
                section.name,
                output::count(section.rows),
                section.cols,
                section.element.name(),
                section.offset
            ))?;
        }
    }
    for image in images.unwrap_or_default() {
        let text = |key: &str| image[key].as_str().map_or_else(|| image[key].to_string(), str::to_owned);
        output::line(&format!(
            "image        {}  {}x{}  {}  {}  {}",
            output::name(&text("path")),
            text("width"),
            text("height"),
            output::counted(image["views"].as_u64().unwrap_or_default(), "view"),
            output::counted(image["patches"].as_u64().unwrap_or_default(), "patch"),
            text("id")
        ))?;
    }
    Ok(Outcome::Done)
}

fn list_images(collection: &Collection) -> Result<Vec<serde_json::Value>, OpenSegmentError> {
    let mut images = Vec::new();
    for segment in collection.segments() {
        for image in segment.images() {
            let image = image?;
            let copy = image.row.same_as as usize != image.index;
            let same_as =
                copy.then(|| segment.image(image.row.same_as as usize).map(|first| first.path_text()));
            images.push(json!({
                "path": image.path_text(), "id": image.id(), "width": image.row.width_px, "height": image.row.height_px,
                "views": image.views().count(), "patches": image.views().map(|view| view.grid.len()).sum::<usize>(),
                "bytes": image.row.file_bytes, "same_as": same_as.transpose()?,
            }));
        }
    }
    Ok(images)
}
