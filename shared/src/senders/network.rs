//! A range of addresses, as settings name it.

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, or one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether this address is in it. An IPv4 address in the form of IPv6 is in none.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let Some(network) = text.parse::<IpNet>().ok().or_else(one) else {
            let help = "write it like 10.1.2.0/24, 10.1.2.3 or fd00::/8";
            return Err(format!("`{text}` is no address or range of them; {help}"));
        };
        if network != network.trunc() {
            let help = network.trunc();
            return Err(format!("`{text}` has bits beyond its prefix; write {help}"));
        }
        if let IpAddr::V6(address) = network.addr()
            && address.to_ipv4_mapped().is_some()
        {
            // Such callers are known by their IPv4 address.
            return Err(format!("`{text}`: write it as an IPv4 address"));
        }
        Ok(Self(network))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}
