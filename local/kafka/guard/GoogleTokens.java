package turnout;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Set;
import org.apache.kafka.common.security.oauthbearer.JwtValidator;
import org.apache.kafka.common.security.oauthbearer.JwtValidatorException;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.internals.secured.BasicOAuthBearerToken;

/**
 * Takes the tokens that Google's managed Kafka takes: a header that names their kind, claims, and in place of a signature
 * an access token, which is asked about where the system property turnout.tokeninfo says. Whoever it belongs to has to be
 * who the claims tell of.
 *
 * <p>Source: github.com/googleapis/managedkafka (the form); oauth2.googleapis.com/tokeninfo (what is told of an access
 * token)
 */
public final class GoogleTokens implements JwtValidator {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int PATIENCE = 5_000; // milliseconds

    @Override
    public OAuthBearerToken validate(String token) {
        String[] parts = token.split("\\.", -1);
        if (parts.length != 3) {
            throw new JwtValidatorException("the token has " + parts.length + " parts, not three");
        }
        JsonNode header = object(parts[0]);
        JsonNode claims = object(parts[1]);
        expect("GOOG_OAUTH2_TOKEN", header.path("alg").asText(), "alg");
        expect("Google", claims.path("iss").asText(), "iss");
        expect("kafka", claims.path("scope").asText(), "scope");
        long now = System.currentTimeMillis();
        long ends = claims.path("exp").asLong() * 1000;
        if (ends <= now) {
            throw new JwtValidatorException("the token has expired");
        }
        JsonNode told = told(new String(decoded(parts[2]), StandardCharsets.UTF_8));
        String subject = claims.path("sub").asText();
        expect(told.path("email").asText("nobody"), subject, "sub");
        long lasts = Math.min(ends, now + told.path("expires_in").asLong() * 1000);
        long issued = claims.path("iat").asLong() * 1000;
        return new BasicOAuthBearerToken(token, Set.of("kafka"), lasts, subject, issued);
    }

    private static JsonNode told(String access) {
        String asked = System.getProperty("turnout.tokeninfo") + "?access_token="
                + URLEncoder.encode(access, StandardCharsets.UTF_8);
        try {
            HttpURLConnection connection = (HttpURLConnection) URI.create(asked).toURL().openConnection();
            connection.setConnectTimeout(PATIENCE);
            connection.setReadTimeout(PATIENCE);
            if (connection.getResponseCode() != 200) {
                throw new JwtValidatorException("the access token is nobody's, or has expired");
            }
            try (InputStream answer = connection.getInputStream()) {
                return JSON.readTree(answer);
            }
        } catch (IOException error) {
            throw new JwtValidatorException("nobody tells whose the access token is", error);
        }
    }

    private static JsonNode object(String part) {
        try {
            return JSON.readTree(decoded(part));
        } catch (IOException error) {
            throw new JwtValidatorException("a part of the token is no JSON", error);
        }
    }

    private static byte[] decoded(String part) {
        try {
            return Base64.getUrlDecoder().decode(part);
        } catch (IllegalArgumentException error) {
            throw new JwtValidatorException("a part of the token is no base64url", error);
        }
    }

    private static void expect(String wanted, String got, String name) {
        if (!wanted.equals(got)) {
            throw new JwtValidatorException(name + " is '" + got + "'");
        }
    }
}
