//! Texts that name no destination: what is said to them.

use super::*;

#[test]
fn what_is_wrong_is_said_without_the_secret() {
    for (text, why) in [
        ("", "is no destination"),
        ("kafka://x", "needs a topic"),
        ("kafka://127.0.0.1/a/b", "needs a topic"),
        ("amqp://x", "is no destination"),
        ("file:", "needs a path"),
        ("file:a?rat=5/s", "unknown setting `rat`"),
        ("file:a?rotate_keep=3", "only beside rotate_bytes"),
        ("file:a?rotate_bytes=0", "from 1 to"),
        ("stdout?rotate_bytes=9", "unknown setting"),
        ("redis://127.0.0.1/events?rotate_bytes=9", "only for file:"),
        ("postgres://127.0.0.1/shop", "needs a database and a table"),
        ("postgres://127.0.0.1/shop/a.b.c", "needs a database and a table"),
        ("postgres://127.0.0.1/shop/a\"b", "needs a database and a table"),
        ("postgres://127.0.0.1/shop/a?create_table=yes", "neither `true`"),
        ("postgres://hidden@host/shop/a", "basic_file"),
        ("nats://127.0.0.1/a?create_table=true", "only for PostgreSQL"),
        ("stdout?rate=fast", "is no rate"),
        ("stdout?request_rate=0/s", "request_rate: `0/s` is no rate"),
        ("stdout?burst=5", "beside rate"),
        ("stdout?rate=5/s&burst=0", "above 0"),
        ("stdout?on_full=drop", "neither `hold`"),
        ("stdout?confirm=stored", "unknown setting `confirm`"),
        ("prefect+http://127.0.0.1:4200/api?confirm=yes", "neither `stored`"),
        ("http://host/?batch-events=5", "there is `batch_events`"),
        ("http://host/?on-full=hold", "there is `on_full`"),
        ("http://host/?bearer_fiel=/x", "there is `bearer_file`"),
        ("http://host/?form=xml", "none of array, single"),
        ("http://host/?batch_events=0", "from 1 to 10000"),
        ("http://host/?form=single&batch_events=2", "of no use"),
        ("http://host/?tls_ca=/ca.pem", "only where TLS is"),
        ("https://host/?tls_key=/key.pem", "go together"),
        ("https://host/?sign_file=", "needs a path"),
        ("http://host/?bearer_file=a&basic_file=b", "one is enough"),
        ("prefect+http://127.0.0.1:4200/api?form=single", "only for http"),
        ("nats://127.0.0.1:4222", "needs a subject"),
        ("nats://127.0.0.1/a.*", "without wildcards"),
        ("nats://127.0.0.1/a..b", "without wildcards"),
        ("nats://127.0.0.1/a?form=single", "only for http"),
        ("nats://127.0.0.1/a?maxlen=5", "only for a Redis"),
        ("nats://127.0.0.1/a?tls_ca=/ca.pem", "nats+tls"),
        ("nats://t:hidden@host/a", "basic_file"),
        ("redis://:hidden@host/a", "basic_file"),
        ("redis://127.0.0.1:6379", "needs a stream"),
        ("redis:///events", "is no address"),
        ("redis://127.0.0.1:99999/events", "a port is 1 to 65535"),
        ("redis://127.0.0.1:/events", "a port is 1 to 65535"),
        ("nats://127.0.0.1:0/events", "a port is 1 to 65535"),
        ("redis://127.0.0.1/events?headers_file=/h", "only for http"),
        ("redis://127.0.0.1/events?what=5", "unknown behind ?"),
        ("http://", "is no address"),
        ("https://u:hidden@host/x", "bearer_file"),
        ("prefect+http://127.0.0.1:4200", "the path of the API"),
        ("prefect+ftp://127.0.0.1:4200/api", "must begin with"),
    ] {
        let fault = Destination::parse(text).expect_err(text).to_string();
        assert!(fault.contains(why), "{text}: {fault}");
        assert!(!fault.contains("hidden"), "{fault}");
    }
}
