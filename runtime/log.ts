// The one place where winston is known. A log line is a constant message plus fields; secrets and bodies never enter it.
import winston from 'winston';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds `component` to each of its lines. */
  child(component: string): Log;
}

/** JSON lines on standard error: `{"level","message","time",…fields}`. */
export function createLog(level: LogLevel): Log {
  return logTo(level, new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] }));
}

/** The same lines in a file, for processes whose standard error belongs to a person. */
export function createFileLog(level: LogLevel, file: string): Log {
  return logTo(level, new winston.transports.File({ filename: file }));
}

function logTo(level: LogLevel, transport: winston.transport): Log {
  const withTime = winston.format((line) => Object.assign(line, { time: new Date().toISOString() }));
  const format = winston.format.combine(withTime(), winston.format.json());
  return wrap(winston.createLogger({ level, format, transports: [transport] }));
}

function wrap(logger: winston.Logger): Log {
  return {
    error: (message, fields) => void logger.error(message, fields),
    warn: (message, fields) => void logger.warn(message, fields),
    info: (message, fields) => void logger.info(message, fields),
    debug: (message, fields) => void logger.debug(message, fields),
    child: (component) => wrap(logger.child({ component })),
  };
}

/** Drops every line: for tests, and for parts that are made without a log. */
export const nullLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => nullLog,
};
