use serde_json::Value;

/// The elements of `chat_datas` of a 1018 or 1019 that tells of stored texts.
#[track_caller]
pub fn rows_of(body: &Value) -> &[Value] {
    assert_eq!(body["error"], 0, "{body}");
    body["chat_datas"].as_array().unwrap_or_else(|| panic!("no chat_datas: {body}"))
}

/// The numbers of these texts in their conversation.
#[track_caller]
pub fn numbers_of(body: &Value) -> Vec<i64> {
    rows_of(body).iter().map(|row| row["seq"].as_i64().unwrap()).collect()
}

/// The client's ids of these texts.
#[track_caller]
pub fn ids_of(body: &Value) -> Vec<&str> {
    rows_of(body).iter().map(|row| row["unique_id"].as_str().unwrap()).collect()
}
