//! Prints every field of fixed place of `header` and `numbers` in an image of tests/gen/every.json, "path value", and
//! copies both structures field by field: the copies must equal the originals. Numbers in decimal, bytes in hexadecimal.
mod every;
use every::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn numbers(bytes: &[u8]) {
    let v = Numbers::new(bytes).unwrap();
    let mut copy = vec![0u8; Numbers::SIZE];
    let mut m = NumbersMut::new(&mut copy).unwrap();
    macro_rules! field {
        ($get:ident, $set:ident) => {
            println!("figures.{} {}", stringify!($get), v.$get());
            m.$set(v.$get());
        };
    }
    field!(a8, set_a8);
    field!(a16, set_a16);
    field!(a24, set_a24);
    field!(a32, set_a32);
    field!(a40, set_a40);
    field!(a48, set_a48);
    field!(a56, set_a56);
    field!(a64, set_a64);
    field!(b8, set_b8);
    field!(b16, set_b16);
    field!(b24, set_b24);
    field!(b32, set_b32);
    field!(b48, set_b48);
    field!(b56, set_b56);
    field!(b64, set_b64);
    field!(p16, set_p16);
    field!(p32, set_p32);
    field!(p64, set_p64);
    field!(time_s, set_time_s);
    field!(time_ms, set_time_ms);
    field!(time_ns, set_time_ns);
    field!(fat_date, set_fat_date);
    field!(fat_time, set_fat_time);
    field!(plain, set_plain);
    assert_eq!(hex(&copy), hex(v.as_bytes()));
}

fn point(path: &str, v: Point, mut m: PointMut) {
    println!("{path}.x {}", v.x());
    println!("{path}.y {}", v.y());
    m.set_x(v.x());
    m.set_y(v.y());
}

fn bits(path: &str, v: Packed) -> Packed {
    println!("{path}.match {}", v.r#match());
    println!("{path}.color {}", v.color());
    println!("{path}.span {}", v.span());
    println!("{path}.zero_bits {}", v.zero_bits());
    println!("{path}.any_bits {}", v.any_bits());
    println!("{path}.one {}", v.one());
    Packed(0).with_match(v.r#match()).with_color(v.color()).with_span(v.span()).with_zero_bits(v.zero_bits())
        .with_any_bits(v.any_bits()).with_one(v.one())
}

fn header(bytes: &[u8]) {
    let v = Header::new(bytes).unwrap();
    let mut copy = vec![0u8; Header::SIZE];
    let mut m = HeaderMut::new(&mut copy).unwrap();
    macro_rules! raw {
        ($get:ident, $set:ident) => {
            println!("head.{} {}", stringify!($get), hex(v.$get()));
            m.$set(v.$get());
        };
    }
    macro_rules! number {
        ($name:expr, $get:ident, $set:ident) => {
            println!("head.{} {}", $name, v.$get());
            m.$set(v.$get());
        };
    }
    raw!(magic, set_magic);
    raw!(raw, set_raw);
    raw!(label, set_label);
    let mut units = Vec::new();
    for i in 0..Header::TITLE_UNITS {
        units.extend(v.title(i).unwrap().to_be_bytes());
        m.set_title(i, v.title(i).unwrap()).unwrap();
    }
    println!("head.title {}", hex(&units));
    raw!(blob, set_blob);
    raw!(gap, set_gap);
    raw!(id, set_id);
    raw!(key, set_key);
    raw!(purpose, set_purpose);
    raw!(origin, set_origin);
    assert_eq!(every::purpose::name(&every::purpose::BOOT), Some("boot"));
    assert_eq!(every::purpose::name(&every::origin::HOME), None);
    number!("color", color, set_color);
    number!("level", level, set_level);
    number!("deep", deep, set_deep);
    m.set_modes(v.modes());
    println!("head.modes.rank {}", (v.modes() & modes::RANK) >> modes::RANK_SHIFT);
    m.set_loose(v.loose());
    println!("head.loose.all {}", v.loose() & loose::ALL);
    m.set_packed(bits("head.packed", v.packed()));
    println!("head.whole.all {}", v.whole().all());
    m.set_whole(Whole(0).with_all(v.whole().all()));
    point("head.corner", v.corner(), m.edit_corner());
    for i in 0..Header::CORNERS_COUNT {
        point(&format!("head.corners[{i}]"), v.corners(i).unwrap(), m.edit_corners(i).unwrap());
    }
    macro_rules! array {
        ($name:expr, $get:ident, $set:ident, $count:ident) => {
            for i in 0..Header::$count {
                println!("head.{}[{i}] {}", $name, v.$get(i).unwrap());
                m.$set(i, v.$get(i).unwrap()).unwrap();
            }
            assert!(v.$get(Header::$count).is_none());
            assert!(v.$get(usize::MAX).is_none());
            assert!(m.$set(Header::$count, v.$get(0).unwrap()).is_none());
        };
    }
    array!("heights", heights, set_heights, HEIGHTS_COUNT);
    array!("depths", depths, set_depths, DEPTHS_COUNT);
    array!("pairs", pairs, set_pairs, PAIRS_COUNT);
    array!("colors", colors, set_colors, COLORS_COUNT);
    for i in 0..Header::KEYS_COUNT {
        println!("head.keys[{i}] {}", hex(v.keys(i).unwrap()));
        m.set_keys(i, v.keys(i).unwrap()).unwrap();
    }
    for i in 0..Header::PURPOSES_COUNT {
        println!("head.purposes[{i}] {}", hex(v.purposes(i).unwrap()));
        m.set_purposes(i, v.purposes(i).unwrap()).unwrap();
    }
    for i in 0..Header::PALETTE_COUNT {
        let packed = bits(&format!("head.palette[{i}]"), v.palette(i).unwrap());
        m.set_palette(i, packed).unwrap();
    }
    number!("type", r#type, set_type);
    number!("new", new_, set_new);
    number!("init", init, set_init);
    number!("fn", r#fn, set_fn);
    number!("super", super_, set_super);
    number!("int", int, set_int);
    number!("_odd__name_", _odd__name_, set__odd__name_);
    number!("items", items, set_items);
    number!("sum", sum, set_sum);
    assert_eq!(hex(&copy), hex(v.as_bytes()));
}

fn main() {
    let path = std::env::args().nth(1).expect("usage: every_main IMAGE");
    let image = std::fs::read(path).unwrap();
    header(&image);
    numbers(&image[(Header::SIZE + 7) / 8 * 8..]);

    // Unions, and structures whose length varies: the fixed part, and not a byte beyond what is there.
    let slot = Slot::new(&image[512..]).unwrap();
    println!("slots[0].first {}", slot.head().first());
    println!("slots[0].value {}", slot.case_short().unwrap().value());
    assert_eq!(slot.case_long().unwrap().payload()[..], image[513..528]);
    assert!(Slot::new(&image[..15]).is_none());
    assert!(Record::new(&[1]).is_none());
    let record = Record::new(&[1, 3, b'a', b'b', b'c']).unwrap();
    assert_eq!(record.head().kind(), 1);
    assert_eq!(record.case_name().unwrap().as_bytes()[2..], *b"abc");
    assert!(TailOnly::new(&[]).is_some());

    assert_eq!(color::name(color::TYPE), Some("type"));
    assert_eq!(color::name(0), None);
    assert_eq!((level::LOW, level::LEAST, level::HIGH), (-5, i16::MIN, 5));
    assert_eq!((wide::BOTTOM, wide::TOP), (i64::MIN, i64::MAX));
    assert_eq!((modes::ASYNC, modes::RANK, modes::LAST, loose::ALL), (1, 0x70, 1 << 23, u64::MAX >> 1));
}
