//! As much of Protocol Buffers as the messages of original servers need, written out so that no generated code of ours stands
//! between a test and the bytes: varints (wire type 0) and lengths with bytes (wire type 2).

use bytes::{BufMut, Bytes, BytesMut};

/// A message as it came, its fields in their order on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(Vec<(u64, Value)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Fields {
    pub fn decode(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(take_varint(&mut bytes)),
                2 => {
                    let length = usize::try_from(take_varint(&mut bytes)).unwrap();
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                other => panic!("no message of an original has wire type {other}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    /// An int32; 0 if it is absent, as the encoding has it.
    pub fn int(&self, number: u64) -> i32 {
        match self.one(number) {
            None => 0,
            Some(Value::Number(value)) => i32::try_from(value.cast_signed()).unwrap(),
            Some(Value::Bytes(_)) => panic!("field {number} is no number in {self:?}"),
        }
    }

    /// A string; empty if it is absent.
    pub fn text(&self, number: u64) -> String {
        match self.one(number) {
            None => String::new(),
            Some(Value::Bytes(value)) => String::from_utf8(value.clone()).unwrap(),
            Some(Value::Number(_)) => panic!("field {number} is no string in {self:?}"),
        }
    }

    /// Repeated messages.
    pub fn messages(&self, number: u64) -> Vec<Self> {
        self.all(number)
            .map(|value| match value {
                Value::Bytes(value) => Self::decode(value),
                Value::Number(_) => panic!("field {number} is no message in {self:?}"),
            })
            .collect()
    }

    /// The numbers of the fields that are there.
    pub fn numbers(&self) -> Vec<u64> {
        self.0.iter().map(|(number, _)| *number).collect()
    }

    fn one(&self, number: u64) -> Option<&Value> {
        let mut all = self.all(number);
        let one = all.next();
        assert!(all.next().is_none(), "field {number} came twice in {self:?}");
        one
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(found, _)| *found == number).map(|(_, value)| value)
    }
}

/// Builds a message.
#[derive(Debug, Default)]
pub struct Message(BytesMut);

impl Message {
    #[must_use]
    pub fn int(mut self, number: u64, value: i32) -> Self {
        if value != 0 {
            self.varint(number << 3);
            self.varint(i64::from(value).cast_unsigned());
        }
        self
    }

    #[must_use]
    pub fn text(self, number: u64, value: &str) -> Self {
        if value.is_empty() { self } else { self.bytes(number, value.as_bytes()) }
    }

    #[must_use]
    pub fn message(self, number: u64, value: Self) -> Self {
        self.bytes(number, &value.0)
    }

    pub fn encode(self) -> Bytes {
        self.0.freeze()
    }

    fn bytes(mut self, number: u64, value: &[u8]) -> Self {
        self.varint(number << 3 | 2);
        self.varint(value.len() as u64);
        self.0.put_slice(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.put_u8((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a number should not be cut");
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number of more than ten bytes");
}
