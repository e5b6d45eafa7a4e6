/** The ordinary Trino server; the artifact that holds io.trino.server.TrinoServer is not published for 406. */
public final class Start {
    public static void main(String[] arguments) {
        new io.trino.server.Server().start(arguments[0]);
    }
}
