//! The answer of one query as a page: the crop, the ranked pictures with boxes, heat-maps and matches drawn, each beside the
//! crop, probabilities, scores, timings, and the command that asked.

use maud::{Markup, html};

use super::figure::{coloured, data_uri, jpeg, px, rectangle, shown, view_box};
use super::heat::{self, Range};
use super::page::Page;
use super::side_by_side::Crop;
use crate::core::{Bbox, Hit, Match};
use crate::picture::Picture;
use crate::query::{Answer, Evidence};

/// Long side of a picture on the page, in pixels.
const SHOWN_PX: u32 = 640;
/// What is less likely the object is called so.
const LIKELY: f32 = 0.5;
const STYLE: &str = concat!(include_str!("page.css"), include_str!("figure.css"), include_str!("answer.css"));
const SCRIPT: &str = include_str!("answer.js");

/// What the page shows.
pub struct PageInput<'a> {
    /// The answer, with its evidence.
    pub answer: &'a Answer,
    /// The query image, upright.
    pub query_picture: &'a Picture,
    /// Name of the collection.
    pub collection: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// The preparation as it is written.
    pub preparation: &'a str,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that asked.
    pub command: &'a str,
    /// The picture of a hit, or why it cannot be shown.
    pub picture_of: &'a dyn Fn(&Evidence) -> Result<Picture, String>,
}

/// One self-contained HTML page.
pub fn answer_page(input: &PageInput<'_>) -> String {
    let answer = input.answer;
    let range = Range::of(&answer.evidence);
    let boxes = boxes(answer);
    let crop = Crop::of(input.query_picture, boxes, &answer.hits);
    let page = Page {
        title: &answer.query.image,
        style: STYLE,
        script: Some(SCRIPT),
        lead: html! { "Where " b { (answer.query.image) } " is found in " b { (input.collection) } },
        content: html! {
            section.query aria-label="Query" {
                (query_figure(input))
                (facts(input))
            }
            @if !answer.hits.is_empty() {
                (controls(range))
                (crop.symbol(input.query_picture, boxes))
            }
            main {
                @for (hit, evidence) in answer.hits.iter().zip(&answer.evidence) {
                    (card(hit, evidence, range, &crop, input))
                }
                @if answer.hits.is_empty() { p { (nothing_found(answer)) } }
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

/// All boxes that were asked for.
fn boxes(answer: &Answer) -> &[Bbox] {
    let query = &answer.query;
    if query.boxes.is_empty() { std::slice::from_ref(&query.bbox) } else { &query.boxes }
}

fn nothing_found(answer: &Answer) -> &'static str {
    match (answer.searched_images, &answer.plan.filter) {
        _ if answer.is_cut => "Nothing was found within the time budget.",
        (0, None) => "Nothing was found: there was no image to search.",
        (0, Some(_)) => "Nothing was found: there was no image to search that meets the condition.",
        _ if answer.plan.min_probability > 0.0 => {
            "Not in this collection: no image is likely enough to show the object."
        }
        _ => "Nothing was found: no image holds a patch like those of the box.",
    }
}

fn query_figure(input: &PageInput<'_>) -> Markup {
    let Answer { query, plan, .. } = input.answer;
    let boxes = boxes(input.answer);
    let picture = input.query_picture;
    html! {
        figure {
            div.stage {
                img src=(jpeg(picture, SHOWN_PX)) alt={ "The query image " (query.image) };
                svg viewBox=(view_box(picture)) aria-hidden="true" {
                    @for bbox in boxes { (rectangle(bbox, "box")) }
                    @for hit in &input.answer.hits {
                        g data-hit=(hit.rank) { (marks(&hit.matches, |found| found.query_box)) }
                    }
                }
            }
            figcaption {
                @if boxes.len() == 1 { "Box " (shown(&query.bbox)) } @else { (boxes.len()) " boxes" }
                ", " (query.tokens) " tokens, seen in " (counted(query.scales.len(), "size")) @if plan.mirrored || plan.turned { " and poses" }
            }
        }
    }
}

fn facts(input: &PageInput<'_>) -> Markup {
    let Answer { query, plan, searched, timing_ms: time, .. } = input.answer;
    let walks_graphs = searched.iter().any(|path| path.ef.is_some());
    let stages = [
        ("decode", time.decode),
        ("model and embedding", time.embed),
        ("search", time.search),
        ("places", time.rerank),
    ];
    html! {
        dl {
            dt { "Model" } dd { (input.model) }
            dt { "Preparation" } dd { (input.preparation) }
            dt { "Index" } dd { (input.answer.index()) }
            dt { "Searched" } dd { (counted(input.answer.searched_images, "image")) }
            dt { "Looked for as well" } dd { (counted(query.expanded, "place")) }
            dt { "Budgets" } dd { (plan.neighbours) " neighbours, " @if walks_graphs { "ef " (plan.ef) ", " } (plan.candidates) " candidates" }
            @for (name, ms) in stages { dt { (name) } dd { (format!("{ms:.0} ms")) } }
            dt { "total" } dd { (format!("{:.0} ms", time.total)) }
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn controls(range: Range) -> Markup {
    html! {
        form.controls {
            label { input type="checkbox" id="heat"; " Heat-map" }
            label { input type="checkbox" id="matches" checked; " Matches" }
            span.scale {
                "similarity " (format!("{:.2}", range.low)) " " span.ramp {} " " (format!("{:.2}", range.high))
            }
            span.hint { "Point at a picture to see its matches in the query." }
        }
    }
}

fn card(hit: &Hit, evidence: &Evidence, range: Range, crop: &Crop, input: &PageInput<'_>) -> Markup {
    let scores =
        [("vote", hit.scores.vote), ("maxsim", hit.scores.maxsim), ("geometry", hit.scores.geometry)];
    let likely = likelihood(hit.probability);
    let picture = (input.picture_of)(evidence);
    html! {
        article.hit tabindex="0" data-hit=(hit.rank) aria-label={ "Rank " (hit.rank) ": " (hit.image) ", " (likely) } {
            div.told {
                figure {
                    @match &picture {
                        Ok(picture) => div.stage {
                            img src=(jpeg(picture, SHOWN_PX)) alt=(hit.image);
                            @if let Some(heat) = heat::picture(evidence, range) {
                                img.heat src=(data_uri("png", &heat.to_png())) alt="";
                            }
                            svg viewBox=(view_box(picture)) aria-hidden="true" {
                                g.marks { (marks(&hit.matches, |found| found.patch_box)) }
                                (rectangle(&hit.bbox, "box"))
                            }
                        },
                        Err(reason) => p.gone { "The picture cannot be shown: " (reason) },
                    }
                    figcaption { b { (hit.rank) ". " } (hit.image) span.score { "score " (format!("{:.3}", hit.score)) } }
                }
                p.likely.unlikely[hit.probability < LIKELY] { (likely) }
                p.detail { "box " (shown(&hit.bbox)) }
                @if !hit.metadata.is_empty() {
                    p.detail { @for (name, value) in &hit.metadata { (name) ": " (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) "  " } }
                }
                @if !hit.duplicates.is_empty() {
                    details.alike {
                        summary { "+" (hit.duplicates.len()) " alike" }
                        ul { @for image in &hit.duplicates { li { (image) } } }
                    }
                }
                ul.stages {
                    @for (name, score) in scores {
                        li { span { (name) } meter min="0" max="1" value=(format!("{:.3}", score.max(0.0))) {} (format!("{score:.2}")) }
                    }
                }
            }
            @if let Ok(picture) = &picture {
                @if !hit.matches.is_empty() {
                    details.sides open[hit.rank == 1] {
                        summary { "Matches side by side" }
                        (crop.beside(hit, picture))
                    }
                }
            }
        }
    }
}

/// A probability in words: it is never certain.
fn likelihood(probability: f32) -> String {
    let percent = match probability {
        low if low < 0.01 => "under 1 %".to_owned(),
        high if high > 0.99 => "over 99 %".to_owned(),
        other => format!("{:.0} %", 100.0 * other),
    };
    let doubt = if probability < LIKELY { ": probably another object" } else { "" };
    format!("probability {percent}{doubt}")
}

/// Patches of the strongest matches; the same match has the same colour on both sides.
fn marks(matches: &[Match], side: fn(&Match) -> Bbox) -> Markup {
    html! {
        @for (colour, found) in coloured(matches) {
            @let bbox = side(found);
            rect.match x=(px(bbox.x)) y=(px(bbox.y)) width=(px(bbox.w)) height=(px(bbox.h)) style=(colour) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Grid, StageScores};
    use crate::query::{Plan, QueryEcho, SearchPath, TimingMs};

    fn answer(image: &str) -> Answer {
        let bbox = Bbox::new(1.0, 2.0, 3.0, 4.0);
        let found = Match { query_box: bbox, patch_box: bbox, similarity: 0.9 };
        let scores = StageScores { vote: 1.0, maxsim: 0.5, geometry: 0.25 };
        Answer {
            query: QueryEcho {
                image: image.to_owned(),
                bbox,
                boxes: vec![],
                tokens: 1,
                scales: vec![1.0],
                expanded: 0,
            },
            plan: Plan::default(),
            searched_images: 1,
            searched: Vec::new(),
            is_cut: false,
            timing_ms: TimingMs::default(),
            hits: vec![Hit {
                rank: 1,
                image: image.to_owned(),
                id: "0".repeat(16),
                width: 8,
                height: 8,
                metadata: serde_json::Map::new(),
                bbox,
                score: 0.5,
                probability: 0.9,
                scores,
                matches: vec![found],
                duplicates: Vec::new(),
            }],
            evidence: vec![Evidence {
                path: image.as_bytes().to_vec(),
                content: [0; 32],
                grid: Grid { area: Bbox::of_image(8, 8), rows: 1, cols: 1 },
                similarity: vec![0.5],
            }],
        }
    }

    fn page(answer: &Answer, picture_of: &dyn Fn(&Evidence) -> Result<Picture, String>) -> String {
        let query_picture = &Picture { width: 8, height: 8, rgb: vec![90; 192] };
        let (collection, model, preparation, version, command) = ("c", "m", "whiten", "1", "patchdex query");
        answer_page(&PageInput {
            answer,
            query_picture,
            collection,
            model,
            preparation,
            version,
            command,
            picture_of,
        })
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let text = page(&answer("<script>alert(1)</script>\"'&.jpg"), &|_| Err("<b>gone".to_owned()));
        assert!(!text.contains("<script>alert") && !text.contains("<b><"), "{text}");
        assert!(text.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn images_alike_are_listed_in_the_card_and_only_there_are_some() {
        let mut answer = answer("a.jpg");
        assert!(!page(&answer, &|_| Err(String::new())).contains("alike<"));
        answer.hits[0].duplicates = vec!["b&.png".to_owned(), "c.webp".to_owned()];
        let text = page(&answer, &|_| Err(String::new()));
        assert!(text.contains("+2 alike<") && text.contains("<li>b&amp;.png</li><li>c.webp</li>"), "{text}");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let text = page(&answer("a.jpg"), &|_| Ok(Picture { width: 700, height: 1, rgb: vec![9; 2100] }));
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url("), "{text}");
        assert_eq!(text.matches("data:image/png").count(), 1);
    }

    #[test]
    fn the_crop_stands_in_the_page_once_and_beside_every_hit_whose_picture_there_is() {
        let mut answer = answer("a.jpg");
        for rank in 2..=4 {
            answer.hits.push(Hit { rank, ..answer.hits[0].clone() });
            answer.evidence.push(answer.evidence[0].clone());
        }
        answer.hits[3].matches.clear();
        answer.evidence[2].path = b"gone".to_vec();
        let text = page(&answer, &|evidence| match evidence.path.as_slice() {
            b"gone" => Err(String::new()),
            _ => Ok(Picture { width: 700, height: 1, rgb: vec![9; 2100] }),
        });
        // The query and its crop; three pictures, two of them beside the crop.
        assert_eq!(text.matches("data:image/jpeg").count(), 2 + 3 + 2);
        assert_eq!((text.matches("<symbol").count(), text.matches("href=\"#crop\"").count()), (1, 2));
        assert_eq!(
            (text.matches("<details").count(), text.matches("<details class=\"sides\" open>").count()),
            (2, 1)
        );
    }

    #[test]
    fn a_probability_is_never_certain_and_what_is_unlikely_is_said_to_be() {
        for (probability, words) in [
            (1.0, "probability over 99 %"),
            (0.93, "probability 93 %"),
            (0.5, "probability 50 %"),
            (0.11, "probability 11 %: probably another object"),
            (0.0, "probability under 1 %: probably another object"),
        ] {
            assert_eq!(likelihood(probability), words);
            let mut answer = answer("a.jpg");
            answer.hits[0].probability = probability;
            let text = page(&answer, &|_| Err(String::new()));
            assert!(text.contains(&format!("aria-label=\"Rank 1: a.jpg, {words}\"")), "{text}");
            assert_eq!(text.contains("class=\"likely unlikely\""), probability < 0.5, "{text}");
        }
    }

    #[test]
    fn nothing_found_says_why() {
        let mut answer = answer("a.jpg");
        answer.hits.clear();
        let said = |answer: &Answer| page(answer, &|_| Err(String::new()));
        assert!(said(&answer).contains("no image holds a patch") && !said(&answer).contains("<symbol"));
        answer.plan.min_probability = 0.5;
        assert!(said(&answer).contains("Not in this collection"));
    }

    #[test]
    fn facts_say_how_much_was_looked_at() {
        let mut answer = answer("a.jpg");
        (answer.searched_images, answer.query.expanded) = (17, 1);
        let index = "hnsw".to_owned();
        let ef = Some(128);
        answer.searched = vec![SearchPath { index, vectors: 9, ef, recall_at_10: None, reason: None }];
        let text = page(&answer, &|_| Err(String::new()));
        for fact in [">17 images<", ">1 place<", ">384 neighbours, ef 128, 200 candidates<"] {
            assert!(text.contains(fact), "{fact}: {text}");
        }
        answer.searched[0].ef = None;
        assert!(page(&answer, &|_| Err(String::new())).contains(">384 neighbours, 200 candidates<"));
    }
}
