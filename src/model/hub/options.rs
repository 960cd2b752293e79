//! Where the hub and its cache are, and with which token: the environment variables of `huggingface_hub`.
//! Reads the environment and the token file, nothing else.

use std::fmt;
use std::path::{Path, PathBuf};

/// The public hub.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Which hub, which cache, which token.
#[derive(Clone)]
pub struct HubOptions {
    /// Address of the hub without a trailing `/`.
    pub endpoint: String,
    /// Folder that holds `models--OWNER--NAME/`.
    pub cache: PathBuf,
    /// Sent to `endpoint` only, never to a host it redirects to.
    pub token: Option<String>,
    /// Answer from the cache, without any request.
    pub offline: bool,
}

impl HubOptions {
    /// Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN` (or the file `HF_TOKEN_PATH`, `$HF_HOME/token`) and
    /// `HF_HUB_OFFLINE`, with the defaults of `huggingface_hub`.
    pub fn from_env() -> Self {
        let home = std::env::home_dir().unwrap_or_default();
        Self::from_variables(&|name| std::env::var(name).ok(), &home)
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>, user_home: &Path) -> Self {
        let text = |name: &str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let folder = |name: &str| text(name).map(|value| expand(&value, user_home));
        let home = folder("HF_HOME").unwrap_or_else(|| {
            folder("XDG_CACHE_HOME").unwrap_or_else(|| user_home.join(".cache")).join("huggingface")
        });
        let token = text("HF_TOKEN").or_else(|| {
            let path = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            let token = std::fs::read_to_string(path).ok()?.trim().to_owned();
            (!token.is_empty()).then_some(token)
        });
        let offline = text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: folder("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            token,
            offline: offline
                .is_some_and(|v| matches!(v.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")),
        }
    }
}

// Not derived: the token must not reach a log.
impl fmt::Debug for HubOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("offline", &self.offline)
            .finish()
    }
}

fn expand(path: &str, user_home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => user_home.join(rest),
        None => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> HubOptions {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        HubOptions::from_variables(&lookup, Path::new("/home/ann"))
    }

    #[test]
    fn the_defaults_are_those_of_huggingface_hub() {
        let options = with(&[]);
        assert_eq!(options.endpoint, "https://huggingface.co");
        assert_eq!(options.cache, Path::new("/home/ann/.cache/huggingface/hub"));
        assert_eq!(options.token, None);
        assert!(!options.offline);
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x")]).cache, Path::new("/x/huggingface/hub"));
    }

    #[test]
    fn variables_override_the_defaults() {
        let options = with(&[
            ("HF_ENDPOINT", "http://mirror:8080/"),
            ("HF_HOME", "~/hf"),
            ("HF_TOKEN", " secret\n"),
            ("HF_HUB_OFFLINE", "yes"),
        ]);
        assert_eq!(options.endpoint, "http://mirror:8080");
        assert_eq!(options.cache, Path::new("/home/ann/hf/hub"));
        assert_eq!(options.token.as_deref(), Some("secret"));
        assert!(options.offline);
        assert!(!format!("{options:?}").contains("secret"));
        assert_eq!(with(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h")]).cache, Path::new("/c"));
        assert!(!with(&[("HF_HUB_OFFLINE", "0")]).offline);
    }
}
