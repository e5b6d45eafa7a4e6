import io.trino.plugin.hive.HiveConnectorFactory;
import io.trino.spi.Plugin;
import io.trino.spi.connector.ConnectorFactory;
import java.util.List;

/** What the unpublished artifact trino-hive-hadoop2 holds: it announces the Hive connector. */
public final class LocalHivePlugin implements Plugin {
    @Override
    public Iterable<ConnectorFactory> getConnectorFactories() {
        return List.of(new HiveConnectorFactory("hive"));
    }
}
