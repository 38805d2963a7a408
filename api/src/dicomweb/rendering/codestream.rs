//! What a JPEG 2000 codestream (ISO/IEC 15444-1 annex A) would have the decoder allocate. The decoder bounds nothing
//! itself: some hundred bytes can ask for millions of tiles, components or code blocks.

use super::{Header, NotRendered};

/// Parts that a decoder keeps something of: code blocks, each in each layer, and at least one of each subband of a tile.
/// Encoders make some ten thousands of a large image.
const MAX_PARTS: u64 = 1024 * 1024;

const START: [u8; 2] = [0xff, 0x4f];
const TILE_PART: u8 = 0x90;
const DATA: u8 = 0x93;
const SIZE: u8 = 0x51;
const CODING: u8 = 0x52;

/// Main header markers that change nothing of what is allocated: QCD, QCC, TLM, PLM, CRG, COM.
const HARMLESS: [u8; 6] = [0x5c, 0x5d, 0x55, 0x57, 0x63, 0x64];

/// The same of tile-part headers: PLT, COM.
const HARMLESS_IN_TILES: [u8; 2] = [0x58, 0x64];

/// Makes sure that a frame is a bare codestream (PS3.5 section 8.2.4) that a bounded amount of memory decodes. Refused are
/// also the markers by which single components or tiles are coded otherwise than the main header says.
pub(super) fn check(header: &Header, frame: &[u8]) -> Result<(), NotRendered> {
    if !frame.starts_with(&START) {
        return Err(NotRendered::damaged("it is no JPEG 2000 codestream"));
    }
    let (mut rest, mut tiles) = (&frame[2..], None);
    let mut has_coding = false;
    loop {
        let (marker, segment, following) = segment(rest)?;
        match marker {
            TILE_PART => break,
            SIZE if tiles.is_none() => tiles = Some(tiles_of(header, segment)?),
            CODING => {
                let tiles = tiles.ok_or_else(cut_off)?;
                if parts(header, segment, tiles)? > MAX_PARTS {
                    return Err(too_many());
                }
                has_coding = true;
            }
            marker if HARMLESS.contains(&marker) => {}
            _ => return Err(not_decoded()),
        }
        rest = following;
    }
    if tiles.is_none() || !has_coding {
        return Err(cut_off());
    }
    tile_parts(rest)
}

/// Walks the headers of the tile-parts, of which `rest` begins with the first.
fn tile_parts(mut rest: &[u8]) -> Result<(), NotRendered> {
    while rest.first_chunk() == Some(&[0xff, TILE_PART]) {
        let (_, start, mut following) = segment(rest)?;
        let length = u32_at(start, 2)? as usize;
        loop {
            if following.first_chunk() == Some(&[0xff, DATA]) {
                break;
            }
            let (marker, _, next) = segment(following)?;
            if !HARMLESS_IN_TILES.contains(&marker) {
                return Err(not_decoded());
            }
            following = next;
        }
        // 0 is: to the end.
        let header = rest.len() - following.len() + 2;
        if length != 0 && length < header {
            return Err(cut_off());
        }
        rest = if length == 0 { &[] } else { rest.get(length..).unwrap_or_default() };
    }
    Ok(())
}

/// The next marker, its segment, and what follows.
fn segment(rest: &[u8]) -> Result<(u8, &[u8], &[u8]), NotRendered> {
    let [0xff, marker, high, low, ..] = *rest else { return Err(cut_off()) };
    let end = 2 + usize::from(u16::from_be_bytes([high, low]));
    let segment = rest.get(4..end).ok_or_else(cut_off)?;
    Ok((marker, segment, &rest[end..]))
}

/// How many tiles there are, of SIZ (section A.5.1).
fn tiles_of(header: &Header, siz: &[u8]) -> Result<u64, NotRendered> {
    let components = siz.get(34..36).ok_or_else(cut_off)?;
    if usize::from(u16::from_be_bytes([components[0], components[1]])) != header.samples {
        return Err(NotRendered::damaged(
            "the JPEG 2000 image has other samples than the data set says",
        ));
    }
    let along = |end: usize, tile: usize, offset: usize| -> Result<u64, NotRendered> {
        let (end, tile, offset) = (u32_at(siz, end)?, u32_at(siz, tile)?, u32_at(siz, offset)?);
        if tile == 0 {
            return Err(cut_off());
        }
        Ok(u64::from(end.saturating_sub(offset).div_ceil(tile)).max(1))
    };
    let tiles = along(2, 18, 26)?.saturating_mul(along(6, 22, 30)?);
    if tiles > 65_535 { Err(too_many()) } else { Ok(tiles) }
}

/// At most how many parts COD (section A.6.1) makes of the image.
fn parts(header: &Header, cod: &[u8], tiles: u64) -> Result<u64, NotRendered> {
    let [style, _, high, low, _, levels, width, height, _, _, precincts @ ..] = cod else {
        return Err(cut_off());
    };
    let layers = u64::from(u16::from_be_bytes([*high, *low]));
    let levels = u64::from(*levels);
    if levels > 32 || *width > 8 || *height > 8 {
        return Err(cut_off());
    }
    // Exponents of the smallest width and height. A code block is no larger than its precinct, which is half as large in
    // the subbands.
    let (mut width, mut height) = (width + 2, height + 2);
    if style & 1 != 0 {
        for precinct in precincts {
            width = width.min((precinct & 0x0f).saturating_sub(1));
            height = height.min((precinct >> 4).saturating_sub(1));
        }
    }
    let blocks = (header.area() as u64 * 2) >> (width + height);
    let bands = tiles.saturating_mul(3 * levels + 1);
    Ok((blocks.saturating_add(bands))
        .saturating_mul(header.samples as u64)
        .saturating_mul(layers.max(1)))
}

fn u32_at(bytes: &[u8], place: usize) -> Result<u32, NotRendered> {
    let number = bytes.get(place..).and_then(|rest| rest.first_chunk());
    number.map(|it| u32::from_be_bytes(*it)).ok_or_else(cut_off)
}

fn cut_off() -> NotRendered {
    NotRendered::damaged("its JPEG 2000 header is cut off or wrong")
}

fn too_many() -> NotRendered {
    NotRendered::unsupported("its JPEG 2000 stream has too many tiles, layers or code blocks")
}

fn not_decoded() -> NotRendered {
    NotRendered::unsupported(
        "its JPEG 2000 stream has parts that are coded otherwise than the rest",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: u16 = 512;

    /// Of one sample, in one tile unless `tile` is smaller.
    fn stream(tile: u32, components: u16, layers: u16, block: u8, in_tile: &[u8]) -> Vec<u8> {
        let side = u32::from(ROWS);
        let mut siz = vec![0, 0];
        for number in [side, side, 0, 0, tile, tile, 0, 0] {
            siz.extend(u32::to_be_bytes(number));
        }
        siz.extend(components.to_be_bytes());
        siz.extend([7, 1, 1].repeat(components.into()));
        let [high, low] = layers.to_be_bytes();
        let cod = [0, 0, high, low, 0, 5, block, block, 0, 1];
        let mut stream = START.to_vec();
        let mut put = |marker: u8, segment: &[u8]| {
            stream.extend([0xff, marker]);
            stream.extend(u16::try_from(segment.len() + 2).unwrap().to_be_bytes());
            stream.extend(segment);
        };
        put(SIZE, &siz);
        put(CODING, &cod);
        put(0x64, b"\0\x01who made it");
        let length = u32::try_from(12 + in_tile.len() + 2 + 3).unwrap().to_be_bytes();
        put(TILE_PART, &[&[0, 0][..], &length, &[0, 1]].concat());
        stream.extend(in_tile);
        stream.extend([0xff, DATA, 1, 2, 3, 0xff, 0xd9]);
        stream
    }

    fn checked(stream: &[u8]) -> Result<(), String> {
        check(&Header::of_size(ROWS.into(), ROWS.into()), stream).map_err(|why| why.to_string())
    }

    #[test]
    fn what_encoders_make_is_decoded() {
        assert_eq!(checked(&stream(512, 1, 1, 4, &[])), Ok(()));
        assert_eq!(checked(&stream(128, 1, 20, 4, &[0xff, 0x58, 0, 3, 0])), Ok(()));
    }

    #[test]
    fn more_than_a_bounded_number_of_parts_is_refused() {
        let many = "its JPEG 2000 stream has too many tiles, layers or code blocks".to_owned();
        assert_eq!(checked(&stream(1, 1, 1, 4, &[])), Err(many.clone()), "tiles");
        assert_eq!(checked(&stream(512, 1, 60, 0, &[])), Err(many.clone()), "code blocks");
        assert_eq!(checked(&stream(512, 1, 65_535, 4, &[])), Err(many), "layers");
        assert!(checked(&stream(512, 255, 1, 4, &[])).unwrap_err().contains("other samples"));
    }

    #[test]
    fn a_tile_may_not_be_coded_in_its_own_way() {
        let cod = [0xff, CODING, 0, 12, 0, 0, 0, 1, 0, 5, 0, 0, 0, 1];
        assert!(checked(&stream(512, 1, 1, 4, &cod)).unwrap_err().contains("otherwise"));
    }

    #[test]
    fn a_stream_that_is_cut_off_anywhere_is_no_panic() {
        let whole = stream(512, 1, 1, 4, &[]);
        for length in 0..whole.len() {
            let _ = checked(&whole[..length]);
        }
        assert!(checked(&whole[..60]).is_err());
        assert!(checked(b"\0\0\0\x0cjP  ").is_err());
    }
}
