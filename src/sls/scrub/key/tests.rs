//! Which keys are sensitive, and which are not.

use super::*;

#[test]
fn sensitive() {
    let keys = Keys::default();
    for key in [
        "password",
        "PASSWORD",
        "a_password_here",
        "userPassword",
        "db.passwd",
        "secret",
        "the_secret",
        "client-secret",
        "api_key",
        "apiKey",
        "API-Key",
        "x-api-key",
        "APIKey",
        "auth",
        "x-auth-token",
        "X-Auth",
        "Authorization",
        "proxy-authorization",
        "http.request.header.authorization",
        "credentials",
        "awsCredentials",
        "mysql_pwd",
        "db_pwd",
        "privatekey",
        "private_key",
        "private-key",
        "ssh.privateKey",
        "token",
        "access_token",
        "idToken",
        "refreshTokens",
        "bearer",
        "cookie",
        "Set-Cookie",
        "cookies",
        "http.request.header.cookie.session",
        "csrf",
        "_csrf",
        "X-CSRFToken",
        "csrfmiddlewaretoken",
        "xsrf-token",
        "sessionid",
        "PHPSESSID",
        "JSESSIONID",
        "__session",
        "_vercel_jwt",
        "sentrysid",
        "otp",
        "two-factor",
        "two_factor",
        "pa_ssword",
        "A-P-I-K-E-Y",
        "t.o.k.e.n",
        "OAuth",
        "oauth2",
        "user%5Bpassword%5D",
        "p%61ssword",
        "https%3A%2F%2Fhost%2Fpath%3Ftoken",
        "pass%2577ord",
        r"pass\u0077ord",
        "pass",
        "db_pass",
        "smtpPass",
        "passcode",
        "access_key",
        "accessKeyId",
        "AWS_ACCESS_KEY_ID",
        "OSSAccessKeyId",
        "SharedAccessKey",
        "AccountKey",
        "signing-key",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "signature",
        "X-Goog-Signature",
        "x-hub-signature-256",
        "cookie_session",
        "token_secret_type",
    ] {
        assert_ne!(keys.test(key, &mut 0), Sensitive::No, "{key}");
    }
    for key in [
        "author",
        "authority",
        ":authority",
        "authorId",
        "co_author",
        "passed",
        "pass_rate",
        "first_pass",
        "bypass",
        "NAN_FUNC_SRF",
        "SIGNATURE_HMAC",
        "text_signature",
        "passenger",
        "sig",
        "signatureVersion",
        "method_signature",
        "design",
        "cookie_banner",
        "cookieConsent",
        "cookies_enabled",
        "secret_santa",
        "secretary",
        "token_type",
        "tokenEndpoint",
        "token_expires_in",
        "access",
        "key",
        "keyword",
        "public_key",
        "user",
        "PWD",
        "session",
        "session_id",
        "sid",
        "did",
        "cooking",
        "secured",
        "otp_enabled",
        "potpourri",
        "tok",
        "compass",
        "",
        "%",
        "%4",
        "https%3A%2F%2Ftoken.example%2F%3Fa",
        "category",
        "method",
        "Äußeres",
    ] {
        assert_eq!(keys.test(key, &mut 0), Sensitive::No, "{key}");
    }
    for key in [
        "input_tokens",
        "gen_ai.usage.total_tokens",
        "maxTokens",
        "token_count",
    ] {
        assert_eq!(keys.test(key, &mut 0), Sensitive::Count, "{key}");
    }
}

#[test]
fn in_text_the_way_it_is_written_counts() {
    let keys = Keys::default();
    for (key, expected) in [
        ("tokens", Verdict::Count),
        ("tokens_secret", Verdict::Yes),
        ("pass", Verdict::Likely),
        ("signature", Verdict::Likely),
        ("https%3A%2F%2Fx%3Fsv%3D1%26sig", Verdict::Parameter),
        ("signal", Verdict::No),
    ] {
        assert_eq!(keys.weigh(key, &mut 0), expected, "{key}");
    }
}

#[test]
fn of_a_long_key_the_ends_count() {
    let keys = Keys::default();
    let fill = "x_".repeat(10_000);
    assert_eq!(keys.test(&format!("token_{fill}"), &mut 0), Sensitive::Yes);
    assert_eq!(keys.test(&format!("{fill}token"), &mut 0), Sensitive::Yes);
    assert_eq!(
        keys.test(&format!("{fill}token_{fill}"), &mut 0),
        Sensitive::No
    );
}

#[test]
fn configured() {
    let keys = Keys::new(["customer_no", "PIN", "", "--", "身份证"]);
    for key in [
        "customer_no",
        "customerNo",
        "CUSTOMER-NO",
        "customerno",
        "x.customer.no.old",
        "pin",
        "cardPin",
        "身份证",
    ] {
        assert_eq!(keys.test(key, &mut 0), Sensitive::Yes, "{key}");
    }
    for key in [
        "customer",
        "no",
        "shipping",
        "spinner",
        "customer_note",
        "身份",
    ] {
        assert_eq!(keys.test(key, &mut 0), Sensitive::No, "{key}");
    }
}
