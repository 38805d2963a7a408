//! API tokens, as `TOKENS_FILE` lists them. A token is as good as a name and a password; the file has only its
//! hash, from which it can't be recovered.

use anyhow::{Context as _, ensure};
use blake3::Hash;
use poem::http::{HeaderMap, Method};
use poem::web::headers::authorization::{Basic, Bearer};
use poem::web::headers::{Authorization, HeaderMapExt as _};
use serde::{Deserialize, Serialize};
use shared::settings;
use std::fmt::{self, Display, Formatter, Write as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// What each token begins with, so that those who look for secrets that were published by mistake
/// know one.
const PREFIX: &str = "collimator_";

/// The most tokens of a file: each request is compared with every one of them.
const MOST: usize = 1000;

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To read: lists, searches, events, the dashboard, the documentation, metrics.
    Read,
    /// To vouch for series by `POST /store`.
    Write,
    /// To send instances by STOW-RS.
    Store,
    /// Whatever else changes something: to complete a series, to trust a sender.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Store, Self::Admin];

    /// What a request needs that is for no documented operation: the most, if it could change anything.
    #[must_use]
    pub fn of_undocumented(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Read,
            _ => Self::Admin,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Store => "store",
            Self::Admin => "admin",
        }
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| "must be read, write, store or admin".to_owned())
    }
}

/// The token that the headers of a request bring (RFC 6750, RFC 7617).
#[must_use]
pub fn token_in(headers: &HeaderMap) -> Option<String> {
    match headers.typed_get::<Authorization<Bearer>>() {
        Some(bearer) => Some(bearer.token().trim().to_owned()),
        // The user is whoever it likes to be.
        None => Some(headers.typed_get::<Authorization<Basic>>()?.password().to_owned()),
    }
}

/// The tokens of a file. Clones share them.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<[Token]>);

#[derive(Debug)]
struct Token {
    name: Arc<str>,
    hash: Hash,
    scopes: Arc<[Scope]>,
}

/// A token as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// Whose it is.
    name: String,
    scopes: Vec<Scope>,
    /// BLAKE3 of the token in hexadecimal digits. A slow hash would add nothing: nobody can try
    /// 2^244 tokens.
    blake3: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Listed>,
}

impl Tokens {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}; `collimator token create` makes it", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let File { token } = settings::from_toml(text)?;
        ensure!(!token.is_empty(), "it has no token, so that nobody could ask for anything");
        ensure!(token.len() <= MOST, "it has more than {MOST} tokens");
        let token = token.into_iter().map(|listed| {
            let hash = Hash::from_hex(&listed.blake3);
            let hash = hash.context("blake3 must be 64 hexadecimal digits")?;
            ensure!(!listed.scopes.is_empty(), "a token without scopes is good for nothing");
            Ok(Token { name: listed.name.into(), hash, scopes: listed.scopes.into() })
        });
        Ok(Self(token.collect::<anyhow::Result<_>>()?))
    }

    /// Whose a token is, and what it is good for; `None` if it is none of the file.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<(Arc<str>, Arc<[Scope]>)> {
        let hash = blake3::hash(token.as_bytes());
        // Each is compared, and hashes are compared in constant time.
        let same = self.0.iter().filter(|token| token.hash == hash);
        let token = same.fold(None, |_, token| Some(token))?;
        Some((token.name.clone(), token.scopes.clone()))
    }
}

/// A token to be made.
#[derive(Debug, Clone, clap::Args)]
pub struct NewToken {
    /// Whose it is, for those who read the file
    pub name: String,

    /// What it may be used for: read, write, store, admin, in a list with commas
    #[arg(long = "scope", required = true, value_delimiter = ',')]
    pub scopes: Vec<Scope>,

    /// The file that it is added to; made if it is not there
    #[arg(long, env = "TOKENS_FILE")]
    pub tokens_file: PathBuf,
}

/// Makes a token, adds it to a file, which is made if need be, and gives it: nobody else ever can.
///
/// # Errors
/// When the file can't be written, or is none of tokens.
pub fn create(path: &Path, name: &str, scopes: &[Scope]) -> anyhow::Result<String> {
    ensure!(!name.chars().any(char::is_control), "a name has no control characters");
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let token = format!("{PREFIX}{}{}", random(), random());
    let hash = blake3::hash(token.as_bytes()).to_hex();
    let scopes = serde_json::to_string(scopes).context("scopes")?;
    let mut listed = String::new();
    let name = serde_json::to_string(name).context("a name")?;
    writeln!(listed, "[[token]]\nname = {name}\nscopes = {scopes}\nblake3 = \"{hash}\"")?;
    Tokens::parse(&listed)?;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| path.display().to_string())?;
    if file.metadata()?.len() > 0 {
        // Not before it is one of tokens: another file is left as it is.
        Tokens::read(path)?;
        listed.insert(0, '\n');
    }
    file.write_all(listed.as_bytes())?;
    file.sync_all()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(tokens: &Tokens, authorization: &str) -> Option<(Arc<str>, Arc<[Scope]>)> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        tokens.holder(&token_in(&headers)?)
    }

    fn scopes(tokens: &Tokens, authorization: &str) -> Option<Vec<Scope>> {
        holder(tokens, authorization).map(|(_name, scopes)| scopes.to_vec())
    }

    #[test]
    fn a_token_that_was_made_has_its_name_and_scopes_and_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        let reader = create(&path, "the \"viewer\"", &[Scope::Read]).unwrap();
        let both = create(&path, "ward 3", &[Scope::Read, Scope::Write]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&reader) && !text.contains(&both), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!(scopes(&tokens, &format!("Bearer {reader}")), Some(vec![Scope::Read]));
        let (name, _scopes) = holder(&tokens, &format!("Bearer {reader}")).unwrap();
        assert_eq!(&*name, "the \"viewer\"");
        let expected = Some(vec![Scope::Read, Scope::Write]);
        assert_eq!(scopes(&tokens, &format!("bearer {both}")), expected);
        for wrong in [
            "Bearer ",
            "Bearer collimator_",
            &format!("Bearer {reader}0"),
            &format!("Basic {reader}"),
            &format!("Digest {reader}"),
            &reader,
        ] {
            assert_eq!(scopes(&tokens, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_browser_sends_it_as_the_password_of_any_user() {
        let hash = blake3::hash(b"token").to_hex();
        let text = format!("[[token]]\nname = \"a\"\nscopes = [\"read\"]\nblake3 = \"{hash}\"");
        let tokens = Tokens::parse(&text).unwrap();
        // `nobody:token` and `:token`
        for given in ["bm9ib2R5OnRva2Vu", "OnRva2Vu"] {
            assert_eq!(scopes(&tokens, &format!("Basic {given}")), Some(vec![Scope::Read]));
        }
        for given in ["dG9rZW4=", "bm9ib2R5OnRva2U=", "%%%", "", "="] {
            assert_eq!(scopes(&tokens, &format!("Basic {given}")), None, "{given}");
        }
    }

    #[test]
    fn a_file_that_is_none_of_tokens_is_refused_and_left_as_it_is() {
        let hash = "0".repeat(64);
        for text in [
            "",
            "[[token]]\nname = \"a\"",
            "[[token]]\nname = \"a\"\nscopes = []\nblake3 = \"0\"",
            &format!("[[token]]\nname = \"a\"\nscopes = [\"all\"]\nblake3 = \"{hash}\""),
            &format!("[[token]]\nname = \"a\"\nscopes = []\nblake3 = \"{hash}\""),
            "[[token]]\nname = \"a\"\nscopes = [\"read\"]\nblake3 = \"abc\"",
        ] {
            Tokens::parse(text).unwrap_err();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, "quiet_period = \"10s\"\n").unwrap();
        create(&path, "a", &[Scope::Read]).unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "quiet_period = \"10s\"\n");
    }
}
