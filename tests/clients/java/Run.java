import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * Runs statements through databricks-jdbc and prints one JSON object a line: its columns and rows, or
 * its error. Arguments: the JDBC URL and a file with one statement a line.
 */
public final class Run {
  public static void main(String[] arguments) throws Exception {
    try (Connection connection = DriverManager.getConnection(arguments[0])) {
      for (String statement : Files.readAllLines(Path.of(arguments[1]), StandardCharsets.UTF_8)) {
        System.out.println("RESULT " + run(connection, statement));
        System.out.flush();
      }
    }
  }

  private static String run(Connection connection, String text) {
    try (Statement statement = connection.createStatement()) {
      boolean hasRows = statement.execute(text);
      if (!hasRows) {
        return "{\"changed\":" + statement.getUpdateCount() + "}";
      }
      try (ResultSet rows = statement.getResultSet()) {
        return result(rows);
      }
    } catch (SQLException error) {
      return "{\"error\":" + quoted(error.getMessage()) + ",\"sqlstate\":" + quoted(error.getSQLState()) + "}";
    } catch (RuntimeException | Error error) {
      return "{\"error\":" + quoted("client: " + error) + ",\"sqlstate\":null}";
    }
  }

  private static String result(ResultSet rows) throws SQLException {
    ResultSetMetaData described = rows.getMetaData();
    int count = described.getColumnCount();
    StringBuilder out = new StringBuilder("{\"columns\":[");
    for (int index = 1; index <= count; index++) {
      out.append(index > 1 ? ",[" : "[").append(quoted(described.getColumnLabel(index))).append(',');
      out.append(quoted(described.getColumnTypeName(index))).append(']');
    }
    out.append("],\"rows\":[");
    boolean first = true;
    while (rows.next()) {
      out.append(first ? "[" : ",[");
      first = false;
      for (int index = 1; index <= count; index++) {
        out.append(index > 1 ? "," : "").append(value(rows.getObject(index)));
      }
      out.append(']');
    }
    return out.append("]}").toString();
  }

  private static String value(Object value) {
    if (value == null) {
      return "null";
    }
    if (value instanceof byte[]) {
      StringBuilder digits = new StringBuilder();
      for (byte one : (byte[]) value) {
        digits.append(String.format("%02x", one));
      }
      return quoted(digits.toString());
    }
    if (value instanceof java.sql.Timestamp) {
      // The instant for TIMESTAMP, in UTC: the program runs with that time zone.
      return quoted(((java.sql.Timestamp) value).toLocalDateTime().toString());
    }
    return quoted(value.toString());
  }

  private static String quoted(String text) {
    if (text == null) {
      return "null";
    }
    StringBuilder out = new StringBuilder("\"");
    for (char letter : text.toCharArray()) {
      if (letter == '"' || letter == '\\') {
        out.append('\\').append(letter);
      } else if (letter < ' ' || letter > '~') {
        out.append(String.format("\\u%04x", (int) letter));
      } else {
        out.append(letter);
      }
    }
    return out.append('"').toString();
  }
}
