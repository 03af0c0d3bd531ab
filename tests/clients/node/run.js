// Runs statements through @databricks/sql and prints one JSON object a line: columns and rows, or
// the error. Arguments: host, port, path, schema, file with one statement a line; the token is in TOKEN.
const fs = require("fs");
const { DBSQLClient } = require("@databricks/sql");

const [host, port, path, schema, file] = process.argv.slice(2);

function shown(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item)]));
  }
  if (Object.is(value, -0)) return "-0.0"; // JSON has no such number
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value;
}

async function run(session, statement) {
  try {
    const operation = await session.executeStatement(statement, { runAsync: true });
    const rows = await operation.fetchAll();
    const schema = await operation.getSchema();
    await operation.close();
    const columns = (schema?.columns ?? []).map((column) => [
      column.columnName,
      column.typeDesc.types[0].primitiveEntry.type,
    ]);
    return { columns, rows: rows.map((row) => columns.map(([name]) => shown(row[name]))) };
  } catch (error) {
    const status = error.response ?? {};
    const text = status.displayMessage || status.errorMessage || error.message;
    return { error: text, sqlstate: status.sqlState ?? null };
  }
}

async function main() {
  const client = new DBSQLClient();
  client.on("error", () => {});
  await client.connect({ host, port: Number(port), path, token: process.env.TOKEN, telemetryEnabled: false });
  const session = await client.openSession({ initialCatalog: "main", initialSchema: schema });
  for (const statement of fs.readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    console.log(`RESULT ${JSON.stringify(await run(session, statement))}`);
  }
  await session.close();
  await client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
