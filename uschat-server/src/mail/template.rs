//! What a mail with a code says: Chinese and English in one, because nobody has told us the reader's language.

use std::time::Duration;

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};
use uuid::Uuid;

/// What all mails of a mailer have in common.
#[derive(Debug, Clone)]
pub(super) struct Template {
    from: Mailbox,
    /// What the service is called.
    service: String,
    minutes: u64,
}

impl Template {
    pub(super) fn new(from: Address, service: String, code_lifetime: Duration) -> Self {
        // Rounded down: nobody should wait for a minute that the code does not have.
        let minutes = (code_lifetime.as_secs() / 60).max(1);
        Self { from: Mailbox::new(Some(service.clone()), from), service, minutes }
    }

    pub(super) fn sender(&self) -> &Address {
        &self.from.email
    }

    /// The whole mail, headers included.
    pub(super) fn mail(&self, to: Address, code: &str) -> Result<Vec<u8>, lettre::error::Error> {
        let id = format!("<{}@{}>", Uuid::new_v4(), self.from.email.domain());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(self.subject())
            .date_now()
            .message_id(Some(id))
            // RFC 3834: holiday notices and mailing lists leave it alone.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(self.text(code), self.html(code)))?;
        Ok(message.formatted())
    }

    /// Without the code: subjects show on locked screens and in the logs of mail servers.
    fn subject(&self) -> String {
        format!("{} 验证码 / verification code", self.service)
    }

    fn text(&self, code: &str) -> String {
        let [chinese, english] = self.paragraphs();
        let [[zh_intro, zh_use, zh_ignore], [en_intro, en_use, en_ignore]] = [&chinese, &english];
        format!(
            "{zh_intro}\r\n\r\n    {code}\r\n\r\n{zh_use}\r\n{zh_ignore}\r\n\r\n\
             {en_intro}\r\n\r\n    {code}\r\n\r\n{en_use}\r\n{en_ignore}\r\n"
        )
    }

    /// Plain, and nothing to fetch: no picture tells anyone that the mail was read.
    fn html(&self, code: &str) -> String {
        let code = escape(code);
        let section = |language: &str, [intro, purpose, ignore]: &[String; 3]| {
            let [intro, purpose, ignore] = [intro, purpose, ignore].map(|text| escape(text));
            format!(
                "<div lang=\"{language}\">\r\n<p>{intro}</p>\r\n\
                 <p style=\"font:bold 150% monospace\">{code}</p>\r\n<p>{purpose}<br>\r\n{ignore}</p>\r\n</div>\r\n"
            )
        };
        let [chinese, english] = self.paragraphs();
        format!(
            "<!DOCTYPE html>\r\n<html>\r\n<head><meta charset=\"utf-8\"><title>{}</title></head>\r\n<body>\r\n{}<hr>\r\n{}</body>\r\n</html>\r\n",
            escape(&self.subject()),
            section("zh", &chinese),
            section("en", &english),
        )
    }

    /// Before the code, its use, what else. The same code may be mailed twice and then has less time left.
    fn paragraphs(&self) -> [[String; 3]; 2] {
        let Self { service, minutes, .. } = self;
        let plural = if *minutes == 1 { "" } else { "s" };
        let chinese = [
            format!("您的 {service} 验证码是："),
            format!("用于注册账号或重置密码，自首次发送起 {minutes} 分钟内有效。"),
            "如果不是您本人申请的，请忽略本邮件。请勿将验证码告诉任何人。".to_owned(),
        ];
        let english = [
            format!("Your {service} verification code is:"),
            format!(
                "It lets you register an account or reset your password, for {minutes} minute{plural} after it was first \
                 sent."
            ),
            "If you did not ask for it, ignore this mail. Do not tell the code to anyone.".to_owned(),
        ];
        [chinese, english]
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(service: &str, seconds: u64) -> Template {
        Template::new("codes@example.org".parse().unwrap(), service.into(), Duration::from_secs(seconds))
    }

    #[test]
    fn the_lifetime_is_never_said_to_be_longer_than_it_is() {
        for (seconds, minutes) in [(600, "10 minutes"), (659, "10 minutes"), (119, "1 minute "), (5, "1 minute ")] {
            assert!(template("UsChat", seconds).text("abc234").contains(&format!("for {minutes}")), "{seconds}");
        }
    }

    #[test]
    fn a_name_or_code_is_text_in_html() {
        let html = template("<b>\"A\" & 'B'</b>", 600).html("<i>1</i>");
        assert!(
            html.contains("&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;")
                && html.contains("&lt;i&gt;1&lt;/i&gt;")
        );
        assert!(!html.contains("<b>") && !html.contains("<i>"));
    }

    #[test]
    fn html_fetches_nothing() {
        let html = template("UsChat", 600).html("abc234");
        for forbidden in ["http", "src=", "href=", "url(", "<script", "<img", "<link"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }
}
