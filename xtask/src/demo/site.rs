//! The demo's folder below `target`: its configuration and its own copy of the plugins, made anew at every
//! start, free to be edited while the demo runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::component;
use crate::demo::upstream::Upstream;
use crate::plugins;
use crate::tree::Tree;

/// The configuration, with `{port}`, `{admin}` and `{NAME}` of each upstream server to fill in.
const CONFIGURATION: &str = include_str!("../../demo/portcullis.toml");

/// Where the gateway listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) port: u16,
    pub(crate) admin: u16,
}

/// The folder, and the addresses that its configuration names.
#[derive(Debug)]
pub(crate) struct Site {
    folder: PathBuf,
    ports: Ports,
}

impl Site {
    /// Writes the folder `target/NAME` with the plugins from `target/plugins`.
    ///
    /// # Errors
    /// Those of the file system; a plugin that was not built.
    pub(crate) fn write(tree: &Tree, name: &str, ports: Ports, upstreams: &[Upstream]) -> Result<Self> {
        let site = Self {
            folder: tree.target(name),
            ports,
        };
        let folder = site.plugin("x").parent().map(Path::to_owned).unwrap_or_default();
        if folder.is_dir() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for plugin in plugins::all(tree)? {
            let from = tree.target("plugins").join(format!("{}.wasm", plugin.name));
            let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            component::replace(&site.plugin(&plugin.name), &bytes)?;
        }
        component::replace(&site.configuration(), filled(ports, upstreams).as_bytes())?;
        Ok(site)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("portcullis.toml")
    }

    /// The .wasm file of a plugin in the demo's own folder.
    pub(crate) fn plugin(&self, name: &str) -> PathBuf {
        self.folder.join("plugins").join(format!("{name}.wasm"))
    }

    /// `HOST:PORT` of the listener.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port)
    }

    /// `HOST:PORT` of the admin listener.
    pub(crate) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.ports.admin)
    }
}

fn filled(ports: Ports, upstreams: &[Upstream]) -> String {
    let mut text = CONFIGURATION
        .replace("{port}", &ports.port.to_string())
        .replace("{admin}", &ports.admin.to_string());
    for upstream in upstreams {
        text = text.replace(&format!("{{{}}}", upstream.name()), &upstream.port().to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::UPSTREAMS;

    #[test]
    fn every_placeholder_of_the_configuration_is_filled() {
        let upstreams: Vec<_> = UPSTREAMS
            .iter()
            .map(|name| Upstream::start(name, 0).unwrap())
            .collect();
        let text = filled(Ports { port: 81, admin: 82 }, &upstreams);
        assert!(text.contains("address = \"127.0.0.1:81\""));
        assert!(text.contains("admin = \"127.0.0.1:82\""));
        for upstream in &upstreams {
            assert!(text.contains(&format!("\"127.0.0.1:{}\"", upstream.port())));
            assert!(!text.contains(&format!("{{{}}}", upstream.name())));
        }
    }
}
