//! What a data set contains: its header, and the text and numbers in it. Bytes in, values out.

mod acr_nema;
pub(crate) mod attributes;
pub mod header;
